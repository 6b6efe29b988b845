"""Test whether a map repeats at the stride of its training tiles. No mask is read.

Landslides are independent of the tiles. A map that is higher in the middle of every tile than at its border is not: it
has a line in its two-dimensional spectrum at one cycle per tile stride, along rows and along columns. Natural maps
have power there too, and on a scene of a few tiles it varies widely. So the power at the stride is compared with that
of all directions at similar wavelengths by an F-test, the test for a line in a locally flat spectrum (Percival and
Walden, Spectral Analysis for Physical Applications, 1993, chapter 10).

Landslides that are elongated along an image axis have more power across it than in other directions, on that axis
alone. A tile pattern is on both. So the test is of the weaker axis. Left undetected is a pattern of one axis, as in a
map with a single row of tiles. Shapes of which some lie along rows and some along columns still pass too often.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy.stats import f as f_distribution

# A tile stride is averaged to this many values before the spectrum is computed.
VALUES_PER_STEP = 8
# Frequencies compared with that of the stride, as shares of it.
RING = (0.75, 4 / 3)
# Frequencies of a Hann-tapered line are independent if they differ by two cycles per length.
INDEPENDENT = 2
# With fewer frequencies to compare with (scenes shorter than about five strides), there is no result.
LEAST_FREQUENCIES = 10
# A map repeats if its line is less probable by chance than this, and the line has at least this share of its variance.
SIGNIFICANT, NOTABLE_SHARE = 0.001, 0.01


@dataclass(frozen=True)
class Period:
    """Repetition of a map at the stride of its tiles.

    Attributes:
        ratio: Amplitude at the stride, along the axis where it is smaller, over the root mean square at similar
            wavelengths; about 0.7 without a period.
        p_value: Probability of such a ratio in a map without a period.
        share: Share of the map's variance that the repetition explains, both axes.
    """

    ratio: float
    p_value: float
    share: float

    @property
    def repeats(self) -> bool:
        """Whether the map repeats significantly and noticeably."""
        return self.p_value < SIGNIFICANT and self.share >= NOTABLE_SHARE


def period_of(path: Path, step: float) -> Period | None:
    """Compare the amplitude of a map at the period `step` with that at similar wavelengths.

    Only means of blocks of an eighth of a stride, and a strip of the map, are in memory.

    Args:
        path: Raster of probabilities or a mask; its no-data value is left out.
        step: Pixels from one tile to the next.

    Returns:
        None if the map is too small to test, or has the same value everywhere.
    """
    side = max(1, int(step // VALUES_PER_STEP))
    values, known = _block_means(path, side)
    if not known.any():
        return None
    values = (values - (values * known).sum() / known.sum()) * known
    variance = (values**2).sum() / known.sum()
    taper = np.outer(np.hanning(values.shape[0]), np.hanning(values.shape[1]))
    frequency = side / step
    nearby = _nearby_powers(values * taper, frequency)
    if len(nearby) < LEAST_FREQUENCIES or not variance or not nearby.any():
        return None
    at_step = np.array([_power(values * taper, frequency, 0), _power(values * taper, 0, frequency)])
    quotient = at_step.min() / nearby.mean()
    # A power is the sum of two squares: exponentially distributed, and the smaller of two has half the mean.
    p_value = f_distribution.sf(2 * quotient, 2, 2 * len(nearby))
    # A sine of amplitude a has the power (a * sum(taper) / 2)**2.
    share = 2 * at_step.sum() / (known * taper).sum() ** 2 / variance
    return Period(round(float(np.sqrt(quotient)), 3), round(float(p_value), 6), round(float(share), 5))


def _block_means(path: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means over blocks of `side` x `side` pixels, and the known share of each block. Two arrays, float32."""
    with rasterio.open(path) as raster:
        rows, cols = raster.height // side, raster.width // side
        means, known = np.zeros((2, rows, cols), np.float32)
        for row in range(rows):
            values = raster.read(1, window=Window(0, row * side, cols * side, side)).astype(np.float64)
            valid = np.ones(values.shape, bool) if raster.nodata is None else values != raster.nodata
            blocks = np.where(valid, values, 0).reshape(side, cols, side).sum(axis=(0, 2))
            count = valid.reshape(side, cols, side).sum(axis=(0, 2))
            means[row] = blocks / np.maximum(count, 1)
            known[row] = count / side**2
    return means, known


def _nearby_powers(values: np.ndarray, frequency: float) -> np.ndarray:
    """Return powers at independent frequencies of all directions whose wavelength is similar to the stride's."""
    spacing = [INDEPENDENT / length for length in values.shape]
    count = [int(RING[1] * frequency / gap) for gap in spacing]
    down, across = np.arange(-count[0], count[0] + 1) * spacing[0], np.arange(count[1] + 1) * spacing[1]
    power = np.abs(_waves(down, values.shape[0]) @ values @ _waves(across, values.shape[1]).T) ** 2
    radius = np.hypot(down[:, None], across)
    wanted = (radius > RING[0] * frequency) & (radius < RING[1] * frequency)
    # Values are real, so the spectrum at -f equals that at f.
    wanted &= (across > 0) | (down[:, None] > 0)
    for row, col in ((frequency, 0.0), (0.0, frequency)):
        close = np.abs(down[:, None] - row) < 0.999 * spacing[0], np.abs(across - col) < 0.999 * spacing[1]
        wanted &= ~(close[0] & close[1])
    mirrored = (np.abs(down[:, None] + frequency) < 0.999 * spacing[0]) & (across < 0.999 * spacing[1])
    return power[wanted & ~mirrored]


def _power(values: np.ndarray, down: float, across: float) -> float:
    """Return the power at one frequency, cycles per value along both axes."""
    lines = _waves(np.array([down]), values.shape[0]) @ values @ _waves(np.array([across]), values.shape[1]).T
    return float(np.abs(lines[0, 0]) ** 2)


def _waves(frequencies: np.ndarray, length: int) -> np.ndarray:
    """(frequencies, length) complex waves."""
    return np.exp(-2j * np.pi * frequencies[:, None] * np.arange(length))
