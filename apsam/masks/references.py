"""Masks to compare with: the CAM cut where SAM agrees, a fixed box, and the reference mask itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.masks.stack import same_tiles, write_masks
from apsam.metrics.centred_box import centred_box
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.prompts import binarize
from apsam.stack import TileStack


def make_agreed_masks(tiles: Path, cams: Path, masks: Path, output: Path) -> None:
    """Cut each tile's CAM at the threshold whose SAM masks agree best with it: that of the tile's APSAM mask.

    Where `prompts.threshold` is `auto`, this is the label-free choice that APSAM's own prompts come from, so that CAM
    and APSAM are cut at the same place; else it is the fixed threshold.

    Args:
        tiles: Tile stack of the scene.
        cams: Its CAM stack.
        masks: Its stack of APSAM masks, with `threshold`.
        output: The mask stack. A tile without prompts has an empty mask.
    """
    with same_tiles(tiles, cams) as stack, same_tiles(tiles, masks) as chosen:
        thresholds = chosen.read("threshold")

        def masks_of(start: int, stop: int) -> np.ndarray:
            pairs = zip(stack.read("cam", start, stop), thresholds[start:stop].tolist(), strict=True)
            return np.stack([binarize(cam, level) if level >= 0 else np.zeros_like(cam) for cam, level in pairs])

        write_masks(tiles, output, "cam_agreed", {"threshold": "agreement"}, masks_of)


def make_box_masks(tiles: Path, output: Path) -> None:
    """The same box in the middle of every tile labelled positive: what a score owes to how tiles were cut."""
    with TileStack(tiles) as stack:
        labels, size = stack.read("label"), stack.attributes["tile_size"]
    box = centred_box(size, size)
    write_masks(
        tiles, output, "box", {}, lambda start, stop: np.stack([box * label for label in labels[start:stop].tolist()])
    )


def make_reference_masks(measured: MeasuredScene, output: Path) -> None:
    """The reference masks, for the upper bound alone: a network trained with full supervision.

    Args:
        measured: A scene with a reference mask.
        output: The mask stack.
    """
    with TileReferenceMasks(measured) as reference:

        def masks_of(start: int, stop: int) -> np.ndarray:
            return np.stack([reference.tile(index) for index in range(start, stop)])

        write_masks(measured.tiles, output, "truth", {}, masks_of)
