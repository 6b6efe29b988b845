"""Blend predictions of overlapping windows to whole rows of a scene."""

from __future__ import annotations

import numpy as np

# Weight at a window's border, where predictions are worst; above 0, so that the scene's own border is covered.
BORDER_WEIGHT = 1e-3


def blend_weights(size: int) -> np.ndarray:
    """Return raised-cosine weights of a window, highest in its middle. (size, size) float32 in (0, 1]."""
    edge = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    edge = np.maximum(edge, BORDER_WEIGHT)
    return np.outer(edge, edge).astype(np.float32)


class RowBlender:
    """Weighted mean of overlapping square windows, in a band of rows with the height of a window.

    Windows are added row by row from the top. Only the band is in memory, for scenes of any height.

    Args:
        width: Width of the scene, pixels; at least `size`.
        size: Side of the windows, pixels.
    """

    def __init__(self, width: int, size: int) -> None:
        self._weights = blend_weights(size)
        self._sum = np.zeros((size, width), np.float32)
        self._weight = np.zeros((size, width), np.float32)
        self._size = size

    def add(self, col: int, values: np.ndarray) -> None:
        """Add a window whose first row is the band's and whose first column is `col`. (size, size) float."""
        place = (slice(None), slice(col, col + self._size))
        self._sum[place] += values * self._weights
        self._weight[place] += self._weights

    def take(self, rows: int) -> np.ndarray:
        """Return the band's first `rows` rows, and move the band down by as many.

        Returns:
            (rows, width) float32; NaN where no window was added.
        """
        with np.errstate(invalid="ignore"):
            done = self._sum[:rows] / np.where(self._weight[:rows] > 0, self._weight[:rows], np.nan)
        for band in (self._sum, self._weight):
            band[: self._size - rows] = band[rows:]
            band[self._size - rows :] = 0
        return done
