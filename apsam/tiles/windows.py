"""Positions of the tiles of a scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def positions(length: int, size: int, stride: int) -> list[int]:
    """Return the first pixels of the tiles along one axis; the last tile is moved to the border.

    This is also the rule of the tiling tool of the paper's lab (reference: GVLM splitter). An axis shorter than a tile
    has one tile, which extends beyond the scene.
    """
    if length <= size:
        return [0]
    starts = list(range(0, length - size, stride))
    return [*starts, length - size]


def tile_windows(height: int, width: int, size: int, stride: int) -> np.ndarray:
    """Return all tile windows of a scene, row by row: (n, 4) int32 of row, col, height, width in scene pixels."""
    # The workflow's start needs only the positions, and importing NumPy takes longer than all its other imports.
    import numpy as np

    return np.array(
        [(row, col, size, size) for row in positions(height, size, stride) for col in positions(width, size, stride)],
        dtype=np.int32,
    )
