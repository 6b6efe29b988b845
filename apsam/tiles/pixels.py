"""Interface of images for functions that process them window by window."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Pixels(Protocol):
    """An image that is read by windows."""

    height: int
    width: int

    def read(self, row: int, col: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image (3, height, width) uint8, 0 where invalid, and valid (height, width) uint8 {0, 1}."""
