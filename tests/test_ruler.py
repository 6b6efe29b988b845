"""Metres in any coordinate reference system."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import CRS, Geod, Transformer

from apsam.ruler import Ruler


@pytest.mark.parametrize(
    ("crs", "bounds"),
    [
        (4326, (10, 60, 10.1, 60.1)),
        (32632, (500000, 6000000, 501000, 6001000)),
        (3857, (1113000, 8399000, 1114000, 8400000)),  # a unit is half a metre here
        (2263, (980000, 200000, 981000, 201000)),  # feet
    ],
)
def test_widened_by_the_same_metres_to_all_sides(crs: int, bounds: tuple[float, ...]) -> None:
    point = shapely.box(*bounds).centroid
    wide, other = Ruler(CRS(crs), bounds).widen(np.array([point, point]), 100)
    assert wide.equals(other)
    left, bottom, right, top = wide.bounds
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True).transform
    geod = Geod(ellps="WGS84")
    for start, end in (((left, point.y), (right, point.y)), ((point.x, bottom), (point.x, top))):
        length = geod.inv(*to_degrees(*start), *to_degrees(*end))[2]
        assert length == pytest.approx(200, rel=0.005)


def test_nothing_widened_is_nothing() -> None:
    assert len(Ruler(CRS(4326), (0, 0, 1, 1)).widen(np.array([], object), 5)) == 0
