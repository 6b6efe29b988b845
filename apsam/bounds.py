"""Bounds of rasters and layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyproj import CRS

# Left, bottom, right, top on the map; or west, south, east, north in degrees.
Bounds = tuple[float, float, float, float]

# Degrees beyond which coordinates cannot be longitudes (twice around the Earth) or latitudes.
MOST_LONGITUDE, MOST_LATITUDE = 720.0, 90.1


def boxes_touch(one: Bounds, other: Bounds) -> bool:
    """Whether two boxes in degrees have a point in common.

    Args:
        one, other: West, south, east, north in degrees; west is greater than east if a box crosses the antimeridian.
    """
    (west, south, east, north), (left, bottom, right, top) = one, other
    east, right = east + 360 * (west > east), right + 360 * (left > right)
    turns = (-360, 0, 360)
    return south <= top and bottom <= north and any(west + turn <= right and left <= east + turn for turn in turns)


def middle_of(box: Bounds) -> tuple[float, float]:
    """Return longitude (may exceed 180) and latitude of the middle of a box in degrees, as in `boxes_touch`."""
    west, south, east, north = box
    return (west + east + 360 * (west > east)) / 2, (south + north) / 2


def beyond_degrees(crs: CRS, bounds: Bounds) -> bool:
    """Whether bounds in a geographic CRS cannot be degrees (or grads) on the Earth."""
    left, bottom, right, top = bounds
    degrees_a_unit = math.degrees(crs.axis_info[0].unit_conversion_factor)
    longitude, latitude = max(abs(left), abs(right)), max(abs(bottom), abs(top))
    return longitude * degrees_a_unit > MOST_LONGITUDE or latitude * degrees_a_unit > MOST_LATITUDE
