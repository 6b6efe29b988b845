"""Command that notes which data a run is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import DataDir, Sheet


def inventory(
    scenes: Sheet,
    output: Annotated[Path, typer.Option(help="JSON file to make")],
    data_dir: DataDir = None,
) -> None:
    """Note size and SHA-256 of every scene's files, those of synthetic scenes aside."""
    from apsam.files import write_json
    from apsam.inventory import take_inventory
    from apsam.scenes import read_scene_sheet

    write_json(output, take_inventory(read_scene_sheet(scenes, data_dir)))
