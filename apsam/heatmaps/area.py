"""Threshold of a heat map by the area of the landslides, where points with sizes tell it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from apsam.ground.labels import ALL_LABELS, CERTAIN, POSSIBLE, PROBABILITY, UNKNOWN, has_probability
from apsam.ground.raster import Grid, GridReader, row_bands
from apsam.heatmaps.logits import DTYPE, LIMIT, NO_DATA, STEP


def threshold_by_area(tiles: Sequence[Path], logits: Sequence[Path], labels: Sequence[Path]) -> float | None:
    """Return the threshold, log-odds, at which heat maps cover as much ground as the landslides are expected to.

    The expected area is the sum of the probabilities in the label maps (`apsam.ground.points`). A heat map counts only
    where a landslide is possible.

    Args:
        tiles: Tile stacks.
        logits: Their heat maps, in the same order.
        labels: Their label maps. Those without probabilities are not used.

    Returns:
        The threshold, a multiple of `STEP`; None if no label map has probabilities.
    """
    highest = round(LIMIT / STEP)
    counts = np.zeros(2 * highest + 1, np.int64)
    expected, found = 0.0, False
    for path, heat, label in zip(tiles, logits, labels, strict=True):
        grid = Grid.of_tiles(path)
        with GridReader(heat, grid, DTYPE) as raster, GridReader(label, grid) as ground:
            if not has_probability(ground):
                continue
            found = True
            for top, rows in row_bands(grid.height):
                window = (top, 0, rows, grid.width)
                steps, probability = raster.read(*window), ground.read(*window, band=PROBABILITY)
                known = (steps != NO_DATA) & (probability != UNKNOWN)
                expected += float(probability[known].sum(dtype=np.float64)) / CERTAIN
                possible = known & (ground.read(*window, band=ALL_LABELS) == POSSIBLE)
                counts += np.bincount(steps[possible] + highest, minlength=len(counts))
    if not found:
        return None
    covered = np.cumsum(counts[::-1])[::-1]
    return round((int(np.abs(covered - expected).argmin()) - highest) * STEP, 2)
