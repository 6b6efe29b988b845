"""Command that writes a scene's tile grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import settings as section
from apsam.tiles.settings import TileSettings


def grid(
    image: Annotated[Path, typer.Argument(help="raster scene")],
    output: Annotated[Path, typer.Option("--output", "-o", help="grid to make: .gpkg, or .csv to fill in")],
    settings: Annotated[TileSettings, section(TileSettings, "tiles")] = TileSettings(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a grid, and the labels in it")] = False,
) -> None:
    """Write the tiles of a scene as polygons or as a table, to label them."""
    from apsam.errors import InputError
    from apsam.tiles.grid import write_grid

    if not image.exists():
        raise InputError(f"{image}: no such raster")
    print(f"{output}: {write_grid(image, settings, output, overwrite)} tiles")
