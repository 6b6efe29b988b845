"""Images that the public functions take: arrays and open raster datasets, read alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from apsam.errors import InputError
from apsam.tiles.pixels import Pixels
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

# (H, W, 3) uint8 RGB, or an open rasterio dataset.
Image: TypeAlias = "np.ndarray | DatasetReader"


class ArrayPixels:
    """An array, read by windows that may stick out of it.

    Args:
        image: (H, W, 3) uint8 RGB.
    """

    def __init__(self, image: np.ndarray) -> None:
        self._image = image
        self.height, self.width = image.shape[:2]

    def read(self, row: int, col: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one window, as `apsam.tiles.reader.SceneReader.read`."""
        image = np.zeros((3, height, width), np.uint8)
        valid = np.zeros((height, width), np.uint8)
        rows = slice(max(row, 0), min(row + height, self.height))
        cols = slice(max(col, 0), min(col + width, self.width))
        if rows.start < rows.stop and cols.start < cols.stop:
            inside = (slice(rows.start - row, rows.stop - row), slice(cols.start - col, cols.stop - col))
            image[:, inside[0], inside[1]] = self._image[rows, cols].transpose(2, 0, 1)
            valid[inside] = 1
        return image, valid


@contextmanager
def open_pixels(image: Image, tiles: TileSettings) -> Iterator[Pixels]:
    """Give the pixels of an image.

    Args:
        image: (H, W, 3) uint8 RGB; or an open rasterio dataset, whose file is read with its own bands, no-data value
            and stretch, as scenes of a run are.
        tiles: How datasets are read.

    Raises:
        InputError: It is neither, or the dataset cannot be used.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(f"image: needs (H, W, 3) uint8 RGB, is {image.shape} {image.dtype}")
        yield ArrayPixels(image)
    elif hasattr(image, "read") and hasattr(image, "crs") and isinstance(getattr(image, "name", None), str):
        with SceneReader(image.name, tiles) as scene:
            yield scene
    else:
        raise InputError(f"image: needs (H, W, 3) uint8 RGB or an open rasterio dataset, is {type(image).__name__}")
