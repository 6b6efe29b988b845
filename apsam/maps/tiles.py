"""Read the ResUNet's mask of single tiles from the map of their scene."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from apsam.errors import InputError
from apsam.maps.archive import read_mask
from apsam.maps.cog import NO_DATA


class MapTiles:
    """A scene's map, read by tiles.

    Args:
        path: GeoTIFF {0, 1, 255} on the scene's grid; for ready-made tiles the zip of their masks.
        window: (n, 4) int of row, col, height, width, as in the tile stack.
        names: File names of ready-made tiles; None for a raster scene.
        size: Side of a tile, pixels.

    Raises:
        InputError: `path` is not a map.
    """

    def __init__(self, path: Path, window: np.ndarray, names: list[str] | None, size: int) -> None:
        self._window, self._names, self._size = window, names, size
        try:
            self._map = rasterio.open(path) if names is None else zipfile.ZipFile(path)
        except (OSError, RasterioError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a map that can be read ({error}); predict again") from error

    def __enter__(self) -> MapTiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._map.close()

    def tile(self, index: int) -> np.ndarray:
        """Read (size, size) uint8 {0, 1, 255}: 255 beyond the scene's edge; ready-made tiles are resized (nearest).

        Raises:
            InputError: The map has no such tile, or is damaged there.
        """
        if self._names is not None:
            mask = read_mask(self._map, self._names[index])
            return cv2.resize(mask, (self._size, self._size), interpolation=cv2.INTER_NEAREST)
        assert not isinstance(self._map, zipfile.ZipFile)  # checked when its tiles were read
        row, col, height, width = (int(value) for value in self._window[index])
        mask = np.full((height, width), NO_DATA, np.uint8)
        inside = Window(col, row, width, height).intersection(Window(0, 0, self._map.width, self._map.height))
        try:
            known = self._map.read(1, window=inside)
        except RasterioError as error:
            raise InputError(
                f"{self._map.name}: row {row}, column {col} cannot be read ({error}); predict again"
            ) from error
        mask[: known.shape[0], : known.shape[1]] = known
        return mask
