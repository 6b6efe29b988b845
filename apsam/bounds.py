"""Bounds of rasters and layers."""

from __future__ import annotations

# Left, bottom, right, top on the map; or west, south, east, north in degrees.
Bounds = tuple[float, float, float, float]


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
