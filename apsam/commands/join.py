"""Commands that combine the files of a scene's blocks into one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def join_stacks(
    blocks: Annotated[list[Path], typer.Argument(help="stacks of the blocks, in order")],
    output: Annotated[Path, typer.Option(help="index file to make; the stacks of the blocks must stay in place")],
) -> None:
    """Make the stacks of a scene's blocks readable as one."""
    from apsam import stack

    stack.join_stacks(blocks, output)


def join_prompts(
    blocks: Annotated[list[Path], typer.Argument(help="prompt files of the blocks, in order")],
    tiles: Annotated[Path, typer.Option(help="tile stack of the scene")],
    output: Annotated[Path, typer.Option(help="prompt file to make, .json")],
    geojson: Annotated[Path, typer.Option(help="the same in the CRS of the scene, .geojson")],
) -> None:
    """Merge the prompts of a scene's blocks."""
    from apsam.prompts.files import join_prompts as join
    from apsam.prompts.files import read_prompts, write_prompts_geojson
    from apsam.stack import TileStack

    with TileStack(tiles) as stack:
        lengths = stack.lengths
    join(blocks, lengths, output)
    write_prompts_geojson(read_prompts(output), tiles, geojson)
