"""Command that writes a scene's tile grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.label import Accuracy, Incomplete, Reach
from apsam.commands.options import settings as section
from apsam.tiles.settings import TileSettings


def grid(
    image: Annotated[Path, typer.Argument(help="raster scene; for a table also a folder of ready-made tiles")],
    output: Annotated[Path, typer.Option("--output", "-o", help="grid to make: .gpkg, or .csv to fill in")],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--from", help="existing labels to fill in: points, polygons, a table, another grid", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="name of the scene; by default that of the file", show_default=False)
    ] = None,
    incomplete: Incomplete = False,
    reach: Reach = None,
    accuracy: Accuracy = None,
    settings: Annotated[TileSettings, section(TileSettings, "tiles")] = TileSettings(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a grid, and the labels in it")] = False,
) -> None:
    """Write the tiles of a scene as polygons or as a table for labelling, with a QGIS project (.qgs)."""
    from apsam.errors import InputError
    from apsam.labelling.existing import ExistingRules
    from apsam.labelling.grid import write_grid

    if not image.exists():
        raise InputError(f"{image}: no such raster")
    rules = ExistingRules(not incomplete, reach, accuracy)
    made = write_grid(image, settings, output, overwrite, labels, rules, name)
    left_out = f" ({made.left_out} of them have too little data for the run)" if made.left_out else ""
    print(f"{output}: {made.tiles} tiles{left_out}")
    for line in made.lines:
        print(f"  {line}")
    if made.project is not None:
        print(f"{made.project}: open it in QGIS and click tiles with 'Run Feature Action'")
