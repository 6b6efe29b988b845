"""Command of the stage that makes the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Option(help="folder of the run, results/NAME")],
    settings: Annotated[str, typer.Option(metavar="JSON|FILE", help="the whole configuration of the run")],
    output: Annotated[Path, typer.Option(help="page to make, .html; figures/ and config.yaml are written next to it")],
    name: Annotated[str | None, typer.Option(help="name of the run; by default its folder's")] = None,
) -> None:
    """Make the report of a run: one HTML file, and figures for a paper."""
    from apsam.config import parse_config, read_config
    from apsam.report.page import make_report
    from apsam.scenes import read_scene_sheet

    given = settings.lstrip().startswith("{")
    config = parse_config(json.loads(settings)) if given else read_config(Path(settings))
    scenes = read_scene_sheet(config.scenes, config.data_dir)
    make_report(run, scenes, config.model_dump(mode="json"), output, name=name)
    print(f"report: open {output}")
