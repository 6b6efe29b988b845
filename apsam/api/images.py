"""Input images of the public functions: arrays and open raster datasets, read through one interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from rasterio.shutil import copy

from apsam.errors import InputError
from apsam.prompts.generate import Prompt
from apsam.tiles.pixels import Pixels
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

# (H, W, 3) uint8 RGB, or an open rasterio dataset.
Image: TypeAlias = "np.ndarray | DatasetReader"


class ArrayPixels:
    """An array that is read by windows, which may extend beyond its border.

    Args:
        image: (H, W, 3) uint8 RGB; masked pixels of a masked array are no data.
    """

    def __init__(self, image: np.ndarray) -> None:
        self._image = np.ma.filled(image, 0)
        self._hidden = np.asarray(np.ma.getmaskarray(image).any(axis=2)) if np.ma.is_masked(image) else None
        self.height, self.width = image.shape[:2]

    def read(self, row: int, col: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one window, like `apsam.tiles.reader.SceneReader.read`."""
        image = np.zeros((3, height, width), np.uint8)
        valid = np.zeros((height, width), np.uint8)
        rows = slice(max(row, 0), min(row + height, self.height))
        cols = slice(max(col, 0), min(col + width, self.width))
        if rows.start < rows.stop and cols.start < cols.stop:
            inside = (slice(rows.start - row, rows.stop - row), slice(cols.start - col, cols.stop - col))
            image[:, inside[0], inside[1]] = self._image[rows, cols].transpose(2, 0, 1)
            valid[inside] = 1 if self._hidden is None else ~self._hidden[rows, cols]
        return image, valid


def shape_of(image: Image) -> tuple[int, int]:
    """Return height and width of an image; for a dataset those of the file, not of the resolution it is read at."""
    return (image.shape[0], image.shape[1]) if isinstance(image, np.ndarray) else (image.height, image.width)


def to_shape(values: np.ndarray, shape: tuple[int, int], exact: bool = False) -> np.ndarray:
    """Resample a map (h, w) uint8 to another pixel grid of the same area; `exact`: nearest neighbour, no new values."""
    if values.shape == shape:
        return values
    finer = shape[0] * shape[1] > values.size
    way = cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR if finer else cv2.INTER_AREA
    return cv2.resize(values, (shape[1], shape[0]), interpolation=way)


def scaled(prompts: Sequence[Prompt], shape: tuple[int, int], to: tuple[int, int]) -> list[Prompt]:
    """Convert prompts from pixels of an image of `shape` to pixels of an image of shape `to` of the same area."""
    if shape == to:
        return list(prompts)
    down, right = to[0] / shape[0], to[1] / shape[1]
    return [
        replace(
            prompt,
            box=(prompt.box[0] * right, prompt.box[1] * down, prompt.box[2] * right, prompt.box[3] * down),
            # Points are in the middle of pixels.
            point=((prompt.point[0] + 0.5) * right - 0.5, (prompt.point[1] + 0.5) * down - 0.5),
        )
        for prompt in prompts
    ]


@contextmanager
def open_pixels(image: Image, tiles: TileSettings) -> Iterator[Pixels]:
    """Open the pixels of an image.

    Args:
        image: (H, W, 3) uint8 RGB, masked where there is no data; or an open rasterio dataset, whose file is read
            with its bands, no-data value and stretch, like the scenes of a run. A dataset that is no file, for example
            in memory, is copied to a temporary file.
        tiles: Settings for reading datasets.

    Raises:
        InputError: The image is neither, or the dataset cannot be used.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(f"image: needs (H, W, 3) uint8 RGB, is {image.shape} {image.dtype}")
        yield ArrayPixels(image)
    elif hasattr(image, "read") and hasattr(image, "crs") and isinstance(getattr(image, "name", None), str):
        with ExitStack() as stack:
            path = Path(image.name)
            if not path.exists():
                # In memory, in an archive or remote: the reader opens files only.
                folder = stack.enter_context(TemporaryDirectory(prefix="apsam-"))
                path = Path(folder) / f"{path.stem}.tif"
                copy(image, path, driver="GTiff")
            yield stack.enter_context(SceneReader(path, tiles))
    else:
        raise InputError(f"image: needs (H, W, 3) uint8 RGB or an open rasterio dataset, is {type(image).__name__}")
