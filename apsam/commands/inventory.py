"""Command that notes which data a run is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inventory(
    scenes: Annotated[Path, typer.Option(help="scene sheet")],
    output: Annotated[Path, typer.Option(help="JSON file to make")],
    data_dir: Annotated[Path | None, typer.Option(help="folder that the sheet's paths start from")] = None,
) -> None:
    """Note size and SHA-256 of every scene's files, those of synthetic scenes aside."""
    from apsam.files import write_json
    from apsam.inventory import take_inventory
    from apsam.scenes import read_scene_sheet

    write_json(output, take_inventory(read_scene_sheet(scenes, data_dir)))
