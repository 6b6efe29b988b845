"""What functions that work window by window ask of an image."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Pixels(Protocol):
    """Pixels that are read by windows."""

    height: int
    width: int

    def read(self, row: int, col: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (3, height, width) uint8, 0 where not valid, and valid (height, width) uint8 {0, 1} of a window."""
