"""Windows of a scene as polygons in map coordinates, also for rotated scenes."""

from __future__ import annotations

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike


def outlines(transform: Affine, windows: ArrayLike) -> np.ndarray:
    """Return polygons with four corners.

    Args:
        transform: Pixel to map.
        windows: (n, 4) of row, col, height, width.

    Returns:
        (n,) of `shapely.Polygon`.
    """
    row, col, height, width = np.asarray(windows, float).reshape(-1, 4).T
    x = np.stack([col, col + width, col + width, col], axis=1)
    y = np.stack([row, row, row + height, row + height], axis=1)
    a, b, c, d, e, f = tuple(transform)[:6]
    return np.asarray(shapely.polygons(np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)))


def outline(transform: Affine, row: float, col: float, height: float, width: float) -> shapely.Polygon:
    """Return the polygon of one window."""
    return outlines(transform, np.array([(row, col, height, width)]))[0]
