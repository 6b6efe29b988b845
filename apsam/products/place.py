"""Where geometries lie on a raster, and a raster on the map, whichever way its rows and columns run."""

from __future__ import annotations

import math

import rasterio
import shapely
from rasterio.coords import BoundingBox


def pixel_bounds(geometry: shapely.Geometry, raster: rasterio.DatasetReader) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels that hold a geometry, cut at the raster's edge.

    The raster may be turned or upside down, so that a box around the geometry on the map is none in pixels.
    """
    inverse = ~raster.transform
    x, y = shapely.get_coordinates(geometry).T
    cols, rows = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
    left, right = max(0, math.floor(cols.min())), min(raster.width, math.ceil(cols.max()))
    top, bottom = max(0, math.floor(rows.min())), min(raster.height, math.ceil(rows.max()))
    return left, top, max(left, right), max(top, bottom)


def north_up(bounds: BoundingBox) -> BoundingBox:
    """Bounds with left < right and bottom < top; those of a raster whose first row lies south are upside down."""
    left, bottom, right, top = bounds
    return BoundingBox(min(left, right), min(bottom, top), max(left, right), max(bottom, top))
