"""Where the tiles of a scene lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def positions(length: int, size: int, stride: int) -> list[int]:
    """First pixels of the tiles along one axis; the last tile is snapped to the border.

    So does the tiling tool of the paper's lab (reference: GVLM splitter). An axis shorter than a tile gets one tile,
    which sticks out of the scene.
    """
    if length <= size:
        return [0]
    starts = list(range(0, length - size, stride))
    return [*starts, length - size]


def tile_windows(height: int, width: int, size: int, stride: int) -> np.ndarray:
    """All tile windows of a scene, row by row: (n, 4) int32 of row, col, height, width in scene pixels."""
    # Starting the workflow needs positions alone, and importing NumPy takes longer than all else it imports.
    import numpy as np

    return np.array(
        [(row, col, size, size) for row in positions(height, size, stride) for col in positions(width, size, stride)],
        dtype=np.int32,
    )
