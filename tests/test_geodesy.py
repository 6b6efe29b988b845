"""Metres in any coordinate reference system."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import CRS, Geod, Transformer

from apsam.geodesy import Geodesy


@pytest.mark.parametrize(
    ("crs", "bounds"),
    [
        (4326, (10, 60, 10.1, 60.1)),
        (32632, (500000, 6000000, 501000, 6001000)),
        (3857, (1113000, 8399000, 1114000, 8400000)),  # a unit is half a metre here
        (2263, (980000, 200000, 981000, 201000)),  # feet
    ],
)
def test_buffer_has_the_same_width_across_and_up(crs: int, bounds: tuple[float, ...]) -> None:
    point = shapely.box(*bounds).centroid
    wide, other = Geodesy(CRS(crs), bounds).buffer(np.array([point, point]), 100)
    assert wide.equals(other)
    left, bottom, right, top = wide.bounds
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True).transform
    geod = Geod(ellps="WGS84")
    for start, end in (((left, point.y), (right, point.y)), ((point.x, bottom), (point.x, top))):
        length = geod.inv(*to_degrees(*start), *to_degrees(*end))[2]
        assert length == pytest.approx(200, rel=0.005)


@pytest.mark.parametrize(
    ("crs", "place"),
    [
        ("EPSG:4326", (10, 60)),
        ("EPSG:32632", (10, 60)),
        ("EPSG:3857", (100, 60)),
        ("EPSG:4087", (100, 60)),  # plate carree: a unit across is half a metre
        ("EPSG:6933", (100, 60)),  # equal area, cylindrical
        ("EPSG:3035", (25, 68)),
        ("ESRI:54009", (100, 60)),  # across and up the map are not perpendicular on the ground
        ("+proj=sinu +lon_0=0 +datum=WGS84", (100, 45)),
        ("+proj=cea +lat_ts=30 +units=us-ft +datum=WGS84", (20, 55)),
    ],
)
def test_distances_are_the_same_in_all_directions(crs: str, place: tuple[float, float]) -> None:
    to_map = Transformer.from_crs(4326, crs, always_xy=True)
    x, y = to_map.transform(*place)
    side = 1e-3 if CRS(crs).is_geographic else 100
    geodesy = Geodesy(CRS(crs), (x - side, y - side, x + side, y + side))
    geod = Geod(ellps="WGS84")
    corners = to_map.transform(
        *np.array(geodesy.buffer(shapely.Point(x, y), 100).exterior.coords).T, direction="INVERSE"
    )
    _, _, radii = geod.inv(np.full_like(corners[0], place[0]), np.full_like(corners[1], place[1]), *corners)
    # PROJ knows the scale of Web Mercator on a sphere only.
    np.testing.assert_allclose(radii, 100, rtol=0.003 if crs == "EPSG:3857" else 0.001)
    ring = geod.fwd(
        np.full(64, place[0]), np.full(64, place[1]), np.linspace(0, 360, 64, endpoint=False), np.full(64, 100)
    )
    circle = shapely.Polygon(np.column_stack(to_map.transform(*ring[:2])))
    assert geodesy.in_metres(circle).area == pytest.approx(np.pi * 100**2, rel=0.005)
    assert geodesy.area(circle) == pytest.approx(np.pi * 100**2, rel=0.005)
    assert geodesy.perimeter(circle) == pytest.approx(2 * np.pi * 100, rel=0.003)


def test_utm_is_measured_by_its_scale() -> None:
    geodesy = Geodesy(CRS(32632), (499_500, 5_999_500, 500_500, 6_000_500))
    np.testing.assert_allclose(geodesy.to_metres, np.eye(2) / 0.9996, rtol=1e-7, atol=1e-12)
    assert geodesy.planar and geodesy.metres_east == geodesy.metres_per_unit


def test_buffer_of_nothing_is_empty() -> None:
    assert len(Geodesy(CRS(4326), (0, 0, 1, 1)).buffer(np.array([], object), 5)) == 0


@pytest.mark.parametrize(
    ("crs", "place"), [(27561, (2.4, 49.5)), (4807, (6, 45)), (2065, (15, 50)), (26591, (9, 45)), (4326, (6, 45))]
)
def test_areas_where_longitudes_are_not_of_greenwich_or_not_in_degrees(crs: int, place: tuple[float, float]) -> None:
    crs = CRS(crs)
    geod, base = crs.get_geod(), crs.geodetic_crs
    meridian = base.prime_meridian.longitude * base.prime_meridian.unit_conversion_factor
    east, north = geod.fwd(*place, 90, 100)[0], geod.fwd(*place, 0, 100)[1]
    corners = [(x, y) for x, y in (place, (east, place[1]), (east, north), (place[0], north))]
    unit = base.axis_info[0].unit_conversion_factor
    own = [((np.radians(x) - meridian) / unit, np.radians(y) / unit) for x, y in corners]
    to_map = Transformer.from_crs(base, crs, always_xy=True).transform
    square = shapely.Polygon([to_map(*spot) for spot in own])
    geodesy = Geodesy(crs, square.bounds)
    assert geodesy.area(square) == pytest.approx(10_000, rel=0.001)
    assert geodesy.perimeter(square) == pytest.approx(400, rel=0.001)
    assert geodesy.middle == pytest.approx(place, abs=0.02)
    assert shapely.area(geodesy.in_metres(square)) == pytest.approx(10_000, rel=0.002)
