"""Whether a map repeats at the step of the tiles it was learned from. No mask is read.

Landslides know nothing of the tiles; a map that is higher in the middle of every tile than at its border does. Such a
map has a peak in its spectrum at one cycle a tile step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

STRIP = 256
# Periods compared with the step, as shares of it: near enough for a similar share of a natural spectrum, and neither
# its neighbours in a finite spectrum nor its overtones.
NEIGHBOURS = (0.72, 0.76, 0.8, 0.84, 1.19, 1.25, 1.32, 1.39)
# Lines with less data than this many steps cannot show a period.
LEAST_STEPS = 3
# Above this a map is said to repeat at the step.
SUSPICIOUS = 1.3


def period_ratio(path: Path, step: float) -> float | None:
    """Amplitude of a map at the period `step` over the mean amplitude at neighbouring periods.

    Every row and column with enough data is compared with sines; their powers are summed, so that it does not matter
    where on a line the pattern begins. In memory is a strip of the map.

    Args:
        path: Raster of probabilities or a mask; its no-data value is left out.
        step: Pixels from one tile to the next.

    Returns:
        The larger one of both axes; about 1 for a map without a period, None where it is too small to tell.
    """
    ratios = []
    with rasterio.open(path) as raster:
        for axis in (0, 1):
            power = np.zeros(1 + len(NEIGHBOURS))
            across = raster.shape[1 - axis]
            for start in range(0, across, STRIP):
                width = min(STRIP, across - start)
                place = (start, 0, width, raster.height) if axis == 0 else (0, start, raster.width, width)
                values = raster.read(1, window=Window(*place)).astype(np.float64)
                known = values != raster.nodata if raster.nodata is not None else np.ones(values.shape, bool)
                power += line_powers(values.T if axis == 0 else values, known.T if axis == 0 else known, step)
            if power[1:].min() > 0:
                ratios.append(float(np.sqrt(power[0]) / np.sqrt(power[1:]).mean()))
    return max(ratios, default=None)


def line_powers(values: np.ndarray, known: np.ndarray, step: float) -> np.ndarray:
    """Power of lines (n, length) at the period `step` and its neighbours, summed over lines. (1 + neighbours,).

    What a line does not know is its mean. Lines are tapered (Hann), so that their ends do not leak into all periods.
    """
    length = values.shape[1]
    lines = known.sum(axis=1) >= LEAST_STEPS * step
    if not lines.any():
        return np.zeros(1 + len(NEIGHBOURS))
    values, known = values[lines], known[lines]
    mean = (values * known).sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
    tapered = np.where(known, values - mean, 0) * np.hanning(length)
    periods = step * np.array([1, *NEIGHBOURS])
    waves = np.exp(-2j * np.pi * np.arange(length)[:, None] / periods)
    return (np.abs(tapered @ waves) ** 2).sum(axis=0)
