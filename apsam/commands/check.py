"""Command that validates a run's inputs and prints how they were read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

SHEET_SUFFIXES = (".tsv", ".txt", ".csv")


def check(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="SHEET|CONFIG...", help="scene sheet, or configuration files; later ones override earlier ones"
        ),
    ],
    data_dir: Annotated[Path | None, typer.Option(help="folder to which the sheet's paths are relative")] = None,
    pixel_seconds: Annotated[
        float, typer.Option(help="time limit for reading pixels (valid shares, mask values and shares), seconds")
    ] = 20,
) -> None:
    """Validate scenes, labels, masks and elevations before a run, and show how they are read.

    The configuration names its sheet in `scenes`. A relative path is searched for in the current folder, then in the
    folder of the configuration.
    """
    from apsam.combinations import check_combinations
    from apsam.config import Config, read_config
    from apsam.errors import InputError
    from apsam.inputs import check as check_inputs
    from apsam.scenes import read_scene_sheet

    sheets = [path for path in inputs if path.suffix.lower() in SHEET_SUFFIXES]
    files = [path for path in inputs if path not in sheets]
    if len(sheets) > 1:
        raise InputError(f"give one scene sheet, not {len(sheets)}: {', '.join(map(str, sheets))}")
    config = read_config(*files) if files else Config()
    sheet = sheets[0] if sheets else config.scenes
    if not sheets and not sheet.is_file() and not sheet.is_absolute():
        in_folder = next((file.parent / sheet for file in reversed(files) if (file.parent / sheet).is_file()), None)
        sheet = in_folder or sheet
    update = {"scenes": sheet} | ({"data_dir": data_dir} if data_dir is not None else {})
    config = config.model_copy(update=update)
    scenes = read_scene_sheet(config.scenes, config.data_dir)
    check_combinations(config, scenes)
    report = check_inputs(
        scenes,
        config.tiles,
        config.labels,
        config.split,
        config.dem,
        pixel_seconds,
        scene_wide=config.ground.masks == "scene",
    )
    print(report.table())
    if report.warnings:
        print()
    for warning in report.warnings:
        print(f"warning: {warning}")
    count = len(report.warnings)
    number = len(scenes)
    print(f"{os.linesep}{number} scene{'s' * (number != 1)}, {count} warning{'s' * (count != 1)}: no errors")
