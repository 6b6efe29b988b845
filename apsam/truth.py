"""The true landslide mask of a scene, read window by window on the scene's own pixels.

Read by the metrics, the report, and, to derive image-level labels as the paper does, by the tile stage; by nothing
else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from apsam.errors import InputError
from apsam.tiles.reader import SceneReader, open_raster
from apsam.vectors import VECTOR_SUFFIXES, read_features

NO_DATA = 255

# Fills what a warped mask does not cover; a value that masks do not use, since 255 may mean landslide in them.
UNCOVERED = 254


class TruthReader:
    """Windows of a mask raster or a polygon layer as {0, 1, 255}.

    In a raster, its declared no-data value is 255 here, every other non-zero value is landslide. A raster of another
    CRS, shape or place is reprojected (nearest); without a CRS it must have the scene's shape. Polygons are burnt with
    the pixel-centre rule.

    Args:
        path: Mask raster or vector layer.
        scene: The scene whose grid is wanted; must stay open.

    Raises:
        InputError: The mask cannot be read, or cannot be placed on the scene.
    """

    def __init__(self, path: Path | str, scene: SceneReader) -> None:
        self.path = Path(path)
        self._scene = scene
        self._raster: rasterio.DatasetReader | None = None
        if self.path.suffix.lower() in VECTOR_SUFFIXES:
            self._shapes = [g for g in read_features(self.path, scene.crs).geometry]
        else:
            self._raster = open_raster(self.path)
            self._aligned = self._align(self._raster)

    def __enter__(self) -> TruthReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the mask."""
        if self._raster is not None:
            self._aligned.close()
            self._raster.close()

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """One window, which may stick out of the scene. (height, width) uint8: 0 not, 1 landslide, 255 unknown."""
        truth = np.full((height, width), NO_DATA, np.uint8)
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + height, self._scene.height), min(col + width, self._scene.width)
        if bottom > top and right > left:
            window = Window(left, top, right - left, bottom - top)
            truth[top - row : bottom - row, left - col : right - col] = self._read(window)
        return truth

    def _read(self, window: Window) -> np.ndarray:
        if self._raster is None:
            place = window_transform(window, self._scene.transform)
            shape = (int(window.height), int(window.width))
            if not self._shapes:
                return np.zeros(shape, np.uint8)
            return rasterize(self._shapes, shape, transform=place, fill=0, default_value=1, dtype="uint8")
        values = self._aligned.read(1, window=window)
        return np.where(values == self._aligned.nodata, NO_DATA, values != 0).astype(np.uint8)

    def _align(self, raster: rasterio.DatasetReader) -> WarpedVRT:
        scene = self._scene
        if raster.crs is None and raster.shape != (scene.height, scene.width):
            raise InputError(
                f"{self.path}: is {raster.width} x {raster.height} px without a CRS, the scene {scene.path} is "
                f"{scene.width} x {scene.height}; give the mask a CRS and it will be reprojected"
            )
        return WarpedVRT(
            raster,
            src_crs=raster.crs or scene.crs,
            src_transform=raster.transform if raster.crs else scene.transform,
            crs=scene.crs,
            transform=scene.transform,
            width=scene.width,
            height=scene.height,
            resampling=Resampling.nearest,
            nodata=UNCOVERED if raster.nodata is None else raster.nodata,
        )
