"""Masks for comparison: the CAM thresholded by agreement with SAM, a fixed box, and the reference mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.masks.stack import same_tiles, write_masks
from apsam.metrics.centred_box import centred_box
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.prompts.generate import binarize
from apsam.stack import TileStack


def make_agreed_masks(tiles: Path, cams: Path, masks: Path, output: Path) -> None:
    """Threshold each tile's CAM at the value that agrees best with its SAM masks: that of the tile's APSAM mask.

    If `prompts.threshold` is `auto`, this is the threshold selected without labels for APSAM's prompts, so CAM
    and APSAM have the same threshold; otherwise it is the fixed threshold.

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
    """Write the same box in the middle of every tile labelled positive, which measures the centre bias of the tiles."""
    with TileStack(tiles) as stack:
        labels, size = stack.read("label"), stack.attributes["tile_size"]
    box = centred_box(size, size)
    write_masks(
        tiles, output, "box", {}, lambda start, stop: np.stack([box * label for label in labels[start:stop].tolist()])
    )


def make_reference_masks(measured: MeasuredScene, output: Path) -> None:
    """Write the reference masks, only for the upper bound: a network trained with full supervision.

    Args:
        measured: A scene with a reference mask.
        output: The mask stack.
    """
    with TileReferenceMasks(measured) as reference:

        def masks_of(start: int, stop: int) -> np.ndarray:
            return np.stack([reference.tile(index) for index in range(start, stop)])

        write_masks(measured.tiles, output, "truth", {}, masks_of)
