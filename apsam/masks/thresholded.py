"""The baseline: a thresholded CAM as pseudo-mask."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from apsam.masks.settings import CamMaskSettings
from apsam.masks.stack import same_tiles, write_masks
from apsam.prompts.generate import binarize


def threshold_cam(cam: np.ndarray, settings: CamMaskSettings) -> np.ndarray:
    """Threshold one CAM. (h, w) uint8 -> (h, w) uint8 {0, 1}; an empty CAM gives an empty mask."""
    if settings.threshold != "otsu":
        return binarize(cam, settings.threshold)
    if cam.min() == cam.max():
        return np.zeros_like(cam)
    level, _ = cv2.threshold(cam, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return binarize(cam, int(level))


def make_cam_masks(
    tiles: Path, cams: Path, settings: CamMaskSettings, output: Path, ground: Path | None = None
) -> None:
    """Write the thresholded CAMs of one scene as pseudo-masks.

    Args:
        tiles: Tile stack of the scene.
        cams: Its CAM stack.
        settings: The threshold.
        output: The mask stack (`apsam.masks.stack`).
        ground: Label map of the scene, to exclude pixels in negative tiles.
    """
    with same_tiles(tiles, cams) as stack:

        def masks_of(start: int, stop: int) -> np.ndarray:
            return np.stack([threshold_cam(cam, settings) for cam in stack.read("cam", start, stop)])

        write_masks(tiles, output, "cam", settings.model_dump(mode="json"), masks_of, ground)
