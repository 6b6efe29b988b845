"""Convert a scene's heat map to grey values of tiles or views, which the prompt stage reads like CAMs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from apsam.ground.labels import FREE, POSSIBLE, TRAINING_LABELS, UNKNOWN, common_grid
from apsam.ground.raster import Grid, GridReader, GridWriter, row_bands
from apsam.heatmaps.logits import DTYPE, NO_DATA, STEP
from apsam.heatmaps.settings import HeatMapSettings
from apsam.progress import track
from apsam.stack import TileStack, TileStackWriter

# Grey value of the calibrated threshold: the first above the paper's threshold of 120.
GREY_AT_THRESHOLD = 121
BATCH = 64


def to_grey(steps: np.ndarray, threshold: float, grey_per_logit: float) -> np.ndarray:
    """Convert stored log-odds to grey values: above 120 where they reach the threshold, 0 without data. uint8."""
    above = steps.astype(np.int64) - round(threshold / STEP)
    grey = np.floor(GREY_AT_THRESHOLD + grey_per_logit * STEP * above)
    return np.where(steps == NO_DATA, 0, np.clip(grey, 0, 255)).astype(np.uint8)


def make_heat_stack(
    tiles: Path, logits: Path, labels: Path, threshold: float, settings: HeatMapSettings, output: Path
) -> None:
    """Write a stack like a CAM stack, `cam` (n, size, size) uint8: the heat map where the labels allow a landslide.

    Args:
        tiles: Stack of tiles or views.
        logits: Heat map of the scene (`apsam.heatmaps.logits`).
        labels: Label map of the scene.
        threshold: Calibrated threshold, log-odds; becomes the grey value 121, the first above 120.
        settings: Grey values per unit of log-odds.
        output: The stack to write.
    """
    grid = common_grid([tiles])
    with TileStack(tiles) as stack, GridReader(logits, grid, DTYPE) as heat, GridReader(labels, grid) as ground:
        windows, size = stack.read("window"), int(stack.attributes["tile_size"])
        made_by = {"grey_per_logit": settings.grey_per_logit, "threshold": threshold}
        attributes = {"scene": grid.scene, "made_by": made_by}
        with TileStackWriter(output, attributes, {"cam": ((size, size), "uint8")}) as writer:
            for start in track(range(0, len(windows), BATCH), f"heat maps of {grid.scene}"):
                some = [
                    _grey_window(heat, ground, window, size, threshold, settings.grey_per_logit)
                    for window in windows[start : start + BATCH].tolist()
                ]
                valid = stack.read("valid", start, start + BATCH)
                writer.append(cam=np.stack(some) * (valid > 0).astype(np.uint8))


def _grey_window(
    heat: GridReader, ground: GridReader, window: list[int], size: int, threshold: float, grey_per_logit: float
) -> np.ndarray:
    grey = to_grey(heat.read(*window), threshold, grey_per_logit)
    grey[ground.read(*window, band=TRAINING_LABELS) != POSSIBLE] = 0
    return grey if grey.shape == (size, size) else cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)


def make_heat_masks(logits: Path, labels: Path, threshold: float, tiles: Path, output: Path) -> None:
    """Write the scene-wide pseudo-mask of the heat map alone, without SAM: 1 where it reaches the threshold.

    Args:
        logits: Heat map of the scene.
        labels: Label map of the scene: 0 free of landslides, 255 unknown.
        threshold: Calibrated threshold, log-odds.
        tiles: Tile stack of the scene.
        output: GeoTIFF to make, on the scene's grid.
    """
    grid = Grid.of_tiles(tiles)
    least = round(threshold / STEP)
    with (
        GridReader(logits, grid, DTYPE) as heat,
        GridReader(labels, grid) as ground,
        GridWriter(output, grid, ("pseudo-mask",), "uint8", UNKNOWN, {"APSAM_THRESHOLD": f"{threshold:g}"}) as writer,
    ):
        for top, rows in row_bands(grid.height):
            allowed = ground.read(top, 0, rows, grid.width, band=TRAINING_LABELS)
            found = (heat.read(top, 0, rows, grid.width) >= least) & (allowed == POSSIBLE)
            mask = np.where(allowed == UNKNOWN, UNKNOWN, np.where(found, POSSIBLE, FREE))
            writer.write(top, mask[None].astype(np.uint8))
