"""Pixel windows of geometries, and bounds of rasters in any orientation."""

from __future__ import annotations

import math

import rasterio
import shapely
from rasterio.coords import BoundingBox


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


def north_up(bounds: BoundingBox) -> BoundingBox:
    """Return bounds with left < right and bottom < top; those of a south-up raster are swapped."""
    left, bottom, right, top = bounds
    return BoundingBox(min(left, right), min(bottom, top), max(left, right), max(bottom, top))
