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
    mask: Annotated[Path | None, typer.Option(help="reference mask, where there is one")] = None,
    split: Annotated[Literal["train", "test", "blocks"], typer.Option(help="part of the scene")] = "train",
    settings: Annotated[TileSettings, section(TileSettings, "tiles")] = TileSettings(),
    label_settings: Annotated[LabelSettings, section(LabelSettings, "labels")] = LabelSettings(),
    label_row: Annotated[
        str | None, typer.Option(help="settings of `labels` that the scene's row of the sheet replaces, as JSON")
    ] = None,
    split_settings: Annotated[SplitSettings, section(SplitSettings, "split")] = SplitSettings(),
    block: BlockOption = "1/1",
    mask_values: Annotated[
        str | None, typer.Option(help="what the mask's values mean, where they are ambiguous: 1,2 or >=0.5")
    ] = None,
    held_out: Annotated[
        list[Path] | None, typer.Option(help="test raster; tiles that share ground with it are not used for training")
    ] = None,
) -> None:
    """Cut a scene, or a block of it, into tiles with image-level labels."""
    import json

    from apsam.errors import InputError
    from apsam.scenes import Scene
    from apsam.tiles.sources import check_image, check_labels_and_mask
    from apsam.tiles.tiling import tile_scene
    from apsam.vectors.layers import split_layer

    if labels is None and mask is None:
        raise InputError(f"{scene}: labels come from a file or from a mask; give --labels or --mask")
    kind: Literal["folder", "raster"] = "folder" if image.is_dir() else "raster"
    files = [split_layer(path) if path is not None else (None, None) for path in (labels, mask)]
    (label_file, label_layer), (mask_file, mask_layer) = files
    row = Scene(
        scene, kind, image, label_file, mask_file, split, None, label_layer, mask_layer, mask_values or None,
        tuple(json.loads(label_row).items()) if label_row else (),
    )  # fmt: skip
    check_image(row)
    check_labels_and_mask(row)
    tile_scene(row, settings, label_settings, split_settings, output, read_block(block), held_out or ())
