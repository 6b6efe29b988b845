"""The true landslide mask of a scene, read window by window on the scene's own pixels.

Read by the metrics, the report, and, to derive image-level labels as the paper does, by the tile stage; by nothing
else.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

import numpy as np
import shapely
from rasterio.enums import ColorInterp, Resampling
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from shapely.strtree import STRtree

from apsam.errors import InputError
from apsam.tiles.outlines import outline
from apsam.tiles.reader import SceneReader, open_raster
from apsam.vectors import VECTOR_SUFFIXES, read_features

log = logging.getLogger(__name__)

NO_DATA = 255

# Fill what a warped mask does not cover; values that masks do not use, since 255 may mean landslide in them.
UNCOVERED, UNCOVERED_INT8 = 254, 126

# Points along each side of a mask that is reprojected, between which its outline is taken for straight.
SIDE_POINTS = 64


class TruthReader:
    """Windows of a mask raster or a polygon layer as {0, 1, 255}.

    A pixel of a raster is landslide (1) where any band other than alpha is not zero, and unknown (255) where the mask
    does not cover the scene, has its declared no-data value in all bands, or no finite one. Two ways of drawing a mask
    are no "unknown", lest nothing but landslides be known and every map be perfect: a declared no-data value of 0, as
    QGIS's Rasterize writes, and full transparency are "no landslide" (0). A raster of another CRS, shape or place is
    reprojected (nearest); without a CRS it must have the scene's shape. Polygons are burnt with the pixel-centre rule.

    Args:
        path: Mask raster or vector layer.
        scene: The scene whose grid is wanted; must stay open.

    Raises:
        InputError: The mask cannot be read, or cannot be placed on the scene.
    """

    def __init__(self, path: Path | str, scene: SceneReader) -> None:
        self.path = Path(path)
        self._scene = scene
        vector = self.path.suffix.lower() in VECTOR_SUFFIXES
        self._mask: _Mask = _PolygonMask(self.path, scene) if vector else _RasterMask(self.path, scene)

    def __enter__(self) -> TruthReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the mask."""
        self._mask.close()

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """One window, which may stick out of the scene. (height, width) uint8: 0 not, 1 landslide, 255 unknown."""
        truth = np.full((height, width), NO_DATA, np.uint8)
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + height, self._scene.height), min(col + width, self._scene.width)
        if bottom > top and right > left:
            known = self._mask.read(top, left, bottom - top, right - left)
            truth[top - row : bottom - row, left - col : right - col] = known
        return truth


class _Mask(Protocol):
    """A mask by windows within the scene."""

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """(height, width) uint8 {0, 1, 255}."""

    def close(self) -> None:
        """Close what is open."""


class _PolygonMask:
    """Polygons, of which each window burns only those that touch it."""

    def __init__(self, path: Path, scene: SceneReader) -> None:
        self._transform = scene.transform
        self._shapes = read_features(path, scene.crs).geometry.to_numpy()
        self._tree = STRtree(self._shapes)

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        near = self._tree.query(outline(self._transform, row, col, height, width))
        if not len(near):
            return np.zeros((height, width), np.uint8)
        place = window_transform(Window(col, row, width, height), self._transform)
        return rasterize(self._shapes[near], (height, width), transform=place, fill=0, default_value=1, dtype="uint8")

    def close(self) -> None:
        pass


class _RasterMask:
    """A raster, laid on the scene's grid."""

    def __init__(self, path: Path, scene: SceneReader) -> None:
        self._scene = scene
        self._raster = open_raster(path)
        alpha = [kind == ColorInterp.alpha for kind in self._raster.colorinterp]
        self._bands = [band for band, no_colour in zip(self._raster.indexes, alpha, strict=True) if not no_colour]
        no_data = self._raster.nodata
        if no_data == 0:
            log.warning(
                "%s: its declared no-data value is 0, which is taken for 'no landslide', not for 'unknown'; "
                "where nobody looked, write another value, for example 255, and declare that",
                path,
            )
            no_data = None
        self._aligned = self._align(path, no_data)
        # GDAL leaves out transparent pixels, as it does those that the mask does not cover.
        self._cover = self._outline() if any(alpha) and no_data is None else None

    def close(self) -> None:
        self._aligned.close()
        self._raster.close()

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        window = Window(col, row, width, height)
        values = self._aligned.read(self._bands, window=window)
        finite = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
        # Of a colour, one channel may be the no-data value by chance.
        missing = ((values == self._aligned.nodata) | ~finite).all(axis=0)
        landslide = ((values != 0) & finite).any(axis=0) & ~missing
        if self._cover is not None:
            place = window_transform(window, self._scene.transform)
            missing &= rasterize([self._cover], (height, width), transform=place, fill=0, dtype="uint8") == 0
        return np.where(missing, NO_DATA, landslide).astype(np.uint8)

    def _align(self, path: Path, no_data: float | None) -> WarpedVRT:
        raster, scene = self._raster, self._scene
        if raster.crs is None and raster.shape != (scene.height, scene.width):
            raise InputError(
                f"{path}: is {raster.width} x {raster.height} px without a CRS, the scene {scene.path} is "
                f"{scene.width} x {scene.height}; give the mask a CRS and it will be reprojected"
            )
        uncovered = UNCOVERED_INT8 if "int8" in raster.dtypes else UNCOVERED
        return WarpedVRT(
            raster,
            src_crs=raster.crs or scene.crs,
            src_transform=raster.transform if raster.crs else scene.transform,
            crs=scene.crs,
            transform=scene.transform,
            width=scene.width,
            height=scene.height,
            resampling=Resampling.nearest,
            src_nodata=no_data,
            nodata=uncovered if no_data is None else no_data,
        )

    def _outline(self) -> shapely.Polygon:
        """What the raster covers, in the scene's CRS."""
        raster, scene = self._raster, self._scene
        if raster.crs is None:
            return outline(scene.transform, 0, 0, scene.height, scene.width)
        longest = max(raster.shape)
        pixels = shapely.segmentize(shapely.box(0, 0, raster.width, raster.height), longest / SIDE_POINTS)
        corners = [raster.transform @ point for point in pixels.exterior.coords]
        return shapely.Polygon(zip(*transform_points(raster.crs, scene.crs, *zip(*corners, strict=True)), strict=True))
