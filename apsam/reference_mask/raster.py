"""Read a reference mask that is a raster on the grid of a scene."""

from __future__ import annotations

import logging
from math import ceil
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from rasterio.crs import CRS as RasterCRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from apsam.datums import datum_shift, proj_crs
from apsam.errors import InputError, first_cause
from apsam.reference_mask.location import check_mask_location
from apsam.reference_mask.values import invert, mask_rule, no_data_of
from apsam.tiles.decimated import column_groups, may_have_overviews, sampled_lines
from apsam.tiles.georeference import degrees_of, turn_to
from apsam.tiles.mask_values import NO_DATA, plane
from apsam.tiles.open_raster import open_raster
from apsam.tiles.outlines import outline
from apsam.tiles.photometry import Palette, alpha_band, bands_without_alpha, has_own_mask
from apsam.tiles.reader import SceneReader

log = logging.getLogger(__name__)

# Points along each side of a reprojected mask; between them its outline is approximated by a line.
SIDE_POINTS = 64

# If a scene is read on coarser pixels: maximum number of parts per side that a pixel is divided into to find its most
# frequent value, and number of parts read at once.
FINEST, AT_ONCE = 8, 4_000_000


class RasterMask:
    """A mask raster on the grid of a scene."""

    def __init__(self, path: Path, scene: SceneReader, values: str | None) -> None:
        self._path, self._scene = path, scene
        self._raster = open_raster(path)
        self._bands = bands_without_alpha(self._raster)
        self._has_alpha = alpha_band(self._raster) is not None
        # Given a no-data value, GDAL leaves the mask of the file out; next to an alpha band, it applies the value only
        # where the alpha has this value too.
        self._by_value = self._has_alpha or has_own_mask(self._raster)
        self.no_data = no_data_of(self._raster, path)
        self._placed = self._raster.crs is not None
        check_mask_location(self._raster, path, scene)
        self._rule, self._palette, self._inverted, _ = mask_rule(path, values)
        self.note = self._rule.note
        self._finer = min(FINEST, ceil(max(scene.step) - 0.1))
        self._aligned = self._align()
        # GDAL skips transparent pixels in the same way as pixels that the mask does not cover.
        self._cover = self._outline() if self._has_alpha else None

    def close(self) -> None:
        """Close the raster."""
        self._aligned.close()
        self._raster.close()

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """Read one window within the scene, (height, width) uint8 {0, 1, 255}."""
        finer = self._finer
        if finer == 1:
            return self._read(Window(col, row, width, height), (height, width))
        read = np.empty((height, width), np.uint8)
        at_once = max(1, AT_ONCE // (height * finer**2))
        for left in range(0, width, at_once):
            wide = min(at_once, width - left)
            shape = (height * finer, wide * finer)
            parts = self._read(Window((col + left) * finer, row * finer, shape[1], shape[0]), shape)
            read[:, left : left + wide] = most_frequent(parts, finer)
        return read

    def overview(self, height: int, width: int) -> np.ndarray:
        """Read the whole scene, (height, width) uint8 {0, 1, 255}."""
        tall, wide = self._aligned.height, self._aligned.width
        if (height, width) == (tall, wide) or not may_have_overviews(self._raster):
            return self._read(Window(0, 0, wide, tall), (height, width))
        rows, cols = sampled_lines(tall, height).tolist(), sampled_lines(wide, width)
        read = np.empty((height, width), np.uint8)
        for some in column_groups(cols, self._aligned.block_shapes[0][1]):
            left, right = int(cols[some][0]), int(cols[some][-1]) + 1
            for index, row in enumerate(rows):
                line = self._read(Window(left, row, right - left, 1), (1, right - left))
                read[index, some] = line[0, cols[some] - left]
        return read

    def _read(self, window: Window, shape: tuple[int, int]) -> np.ndarray:
        try:
            values = self._aligned.read(self._bands, window=window, out_shape=(len(self._bands), *shape))
        except RasterioError as error:
            raise InputError(
                f"{self._path}: pixels cannot be read ({first_cause(error)}); is the file complete?"
            ) from error
        # Of a colour, one channel may be the no-data value by chance.
        missing = ~np.isfinite(values).any(axis=0)
        transparent = np.zeros_like(missing)
        if self._cover is not None:
            place = window_transform(window, self._aligned.transform)
            place = place @ Affine.scale(window.width / shape[1], window.height / shape[0])
            transparent = missing & (rasterize([self._cover], shape, transform=place, fill=0, dtype="uint8") == 1)
            missing &= ~transparent
        if self._by_value and self.no_data is not None:
            missing |= (values == self.no_data).all(axis=0)
        numbers = _numbers(np.nan_to_num(values), self._palette, self._inverted)
        numbers = np.where(missing | transparent, 0, numbers)
        read = self._rule.apply(numbers, missing | transparent, self._path)
        return np.where(transparent, 0, read).astype(np.uint8)

    def _align(self) -> WarpedVRT:
        raster, scene = self._raster, self._scene
        crs, transform = scene.crs, scene.stored.transform
        if self._placed:
            target = proj_crs(scene.crs.to_wkt())
            shift = datum_shift(proj_crs(raster.crs.to_wkt()), target, degrees_of(scene.crs, scene.bounds))
            if shift.note is not None:
                log.warning("%s: %s", self._path, shift.note)
            crs = RasterCRS.from_wkt(shift.wkt) if shift.crs.is_bound else raster.crs
            transform = turn_to(raster.transform, raster.shape, raster.crs, scene.crs, scene.bounds, self._path)
        # As numbers that have a value no mask has: all that is not known is NaN.
        return WarpedVRT(
            raster,
            src_crs=crs,
            src_transform=transform,
            crs=scene.crs,
            transform=scene.transform @ Affine.scale(1 / self._finer),
            width=scene.width * self._finer,
            height=scene.height * self._finer,
            resampling=Resampling.nearest,
            src_nodata=None if self._by_value else self.no_data,
            nodata=np.nan,
            dtype="float64",
            # Else GDAL takes an alpha of 1, or of 255 in 16 bit, for nearly transparent.
            SRC_ALPHA_MAX="1",
        )

    def _outline(self) -> shapely.Polygon:
        """Return the outline of the raster in the scene's CRS."""
        raster, scene = self._raster, self._scene
        if not self._placed:
            return outline(scene.transform, 0, 0, scene.height, scene.width)
        longest = max(raster.shape)
        pixels = shapely.segmentize(shapely.box(0, 0, raster.width, raster.height), longest / SIDE_POINTS)
        corners = [raster.transform @ point for point in pixels.exterior.coords]
        return shapely.Polygon(zip(*transform_points(raster.crs, scene.crs, *zip(*corners, strict=True)), strict=True))


def most_frequent(values: np.ndarray, side: int) -> np.ndarray:
    """Return the most frequent value of each square of a mask, among its known pixels; unknown if most are unknown.

    Args:
        values: (h * side, w * side) uint8 {0, 1, 255}.
        side: Side of a square, pixels.

    Returns:
        (h, w) uint8 {0, 1, 255}.
    """
    squares = values.reshape(values.shape[0] // side, side, -1, side)
    landslide, known = ((squares == 1).sum(axis=(1, 3)), (squares != NO_DATA).sum(axis=(1, 3)))
    return np.where(2 * known < side**2, NO_DATA, 2 * landslide >= np.maximum(known, 1)).astype(np.uint8)


def _numbers(values: np.ndarray, palette: Palette | None, inverted: float | None) -> np.ndarray:
    """Return one number per pixel, as counted by `mask_rule`."""
    if palette is None and inverted is not None:
        values = invert(values, inverted)
    return plane(values)
