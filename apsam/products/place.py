"""Outlines of pixels, and pixels under outlines, on rasters in any orientation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import rasterio
import shapely
from rasterio.features import geometry_mask, shapes
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from shapely import MultiPolygon
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

# Pixels under an outline that are read at once.
PIXELS_AT_ONCE = 16_000_000


def polygons_of(raster: rasterio.DatasetReader) -> list[MultiPolygon]:
    """Return the outlines of the pixels of value 1; those that touch by an edge or a corner have one.

    An outline that touches itself in a corner has several parts. The raster is not loaded as a whole.
    """
    band = rasterio.band(raster, 1)
    # The mask excludes pixels of value 0: they would be one polygon with a hole for every landslide.
    found = [shape(outline) for outline, value in shapes(band, mask=band, connectivity=8) if value == 1]
    return [MultiPolygon(shapely.get_parts(_valid(outline)).tolist()) for outline in found]


def _valid(geometry: BaseGeometry) -> BaseGeometry:
    if geometry.is_valid:
        return geometry
    return shapely.make_valid(geometry, method="structure", keep_collapsed=False)


def pixels_under(geometry: shapely.Geometry, raster: rasterio.DatasetReader) -> Iterator[tuple[Window, np.ndarray]]:
    """Yield windows of a raster that together contain a geometry, and where their pixel centres lie in it, as bool."""
    left, first, right, last = pixel_bounds(geometry, raster)
    rows = max(1, PIXELS_AT_ONCE // max(1, right - left))
    for top in range(first, last, rows):
        window = Window(left, top, right - left, min(rows, last - top))
        size = window.height, window.width
        yield window, geometry_mask([geometry], size, window_transform(window, raster.transform), invert=True)


def pixel_bounds(geometry: shapely.Geometry, raster: rasterio.DatasetReader) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the pixels that contain a geometry, clipped to the raster.

    The raster may be rotated or south-up, so a box around the geometry on the map is not one in pixels.
    """
    inverse = ~raster.transform
    x, y = shapely.get_coordinates(geometry).T
    cols, rows = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
    left, right = max(0, math.floor(cols.min())), min(raster.width, math.ceil(cols.max()))
    top, bottom = max(0, math.floor(rows.min())), min(raster.height, math.ceil(rows.max()))
    return left, top, max(left, right), max(top, bottom)
