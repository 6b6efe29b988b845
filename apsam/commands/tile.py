"""Command of the tile stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from apsam.commands.options import BlockOption, read_block
from apsam.commands.options import settings as section
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings


def tile(
    scene: Annotated[str, typer.Option(help="name of the scene")],
    image: Annotated[Path, typer.Option(help="raster, or folder of ready-made tiles")],
    output: Annotated[Path, typer.Option(help="tile stack to make")],
    labels: Annotated[Path | None, typer.Option(help="labels; derived from the mask by default")] = None,
    mask: Annotated[Path | None, typer.Option(help="true mask, where there is one")] = None,
    split: Annotated[Literal["train", "test", "blocks"], typer.Option(help="part of the scene")] = "train",
    settings: Annotated[TileSettings, section(TileSettings, "tiles")] = TileSettings(),
    label_settings: Annotated[LabelSettings, section(LabelSettings, "labels")] = LabelSettings(),
    split_settings: Annotated[SplitSettings, section(SplitSettings, "split")] = SplitSettings(),
    block: BlockOption = "1/1",
) -> None:
    """Cut a scene, or a block of it, into tiles with image-level labels."""
    from apsam.errors import InputError
    from apsam.scenes import Scene
    from apsam.tiles.tiling import tile_scene

    if labels is None and mask is None:
        raise InputError(f"{scene}: labels come from a file or from a mask; give --labels or --mask")
    kind: Literal["folder", "raster"] = "folder" if image.is_dir() else "raster"
    row = Scene(scene, kind, image, labels, mask, split)
    tile_scene(row, settings, label_settings, split_settings, output, read_block(block))
