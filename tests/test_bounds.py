"""Bounds in degrees, also across the antimeridian: shared ground, elevations."""

from pathlib import Path

import numpy as np
import pytest
from given_inputs import SIDE, given, layer, pixels, write
from pyproj import CRS
from rasterio.transform import from_origin
from shapely import box

from apsam.bounds import boxes_touch
from apsam.errors import InputError
from apsam.vectors.place import degrees

STEP = 1e-5


def test_boxes_touch_across_the_antimeridian() -> None:
    fiji = (177.0, -19.0, -179.0, -16.0)
    assert boxes_touch(fiji, (-180.0, -17.0, -179.5, -16.5)) and boxes_touch((-180.0, -17.0, -179.5, -16.5), fiji)
    assert boxes_touch((179.0, 0.0, 180.0, 1.0), (-180.0, 1.0, -179.0, 2.0)), "they have a corner in common"
    assert not boxes_touch(fiji, (-178.0, -17.0, 176.0, -16.5)) and not boxes_touch(fiji, (177.0, 0.0, 178.0, 1.0))


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((179, -1, 181, 1), (179, -1, -179, 1)),
        ((-181, -1, -179, 1), (179, -1, -179, 1)),
        ((190, -1, 191, 1), (-170, -1, -169, 1)),
        ((0, -1, 360, 1), (-180, -1, 180, 1)),
    ],
)
def test_bounds_in_degrees_keep_both_sides_of_the_antimeridian(bounds: tuple, expected: tuple) -> None:
    assert degrees(CRS.from_epsg(4326), bounds) == expected


@pytest.mark.parametrize("turn", [0, 360])
def test_shared_ground_and_elevations_beyond_180_degrees(tmp_path: Path, turn: int) -> None:
    """A scene at 179.9992 to 180.0008 degrees; a test scene and elevations that begin at 180.0004."""
    one = given(tmp_path)
    write(tmp_path / "a.tif", pixels(), crs="EPSG:4326", transform=from_origin(179.9992, 10, STEP, STEP))
    east = from_origin(turn - 179.9996, 10, STEP, STEP)
    write(tmp_path / "b.tif", pixels(seed=1), crs="EPSG:4326", transform=east)
    layer(tmp_path / "inv.gpkg", box(179.9994, 9.9996, 180.0006, 9.9998), crs=4326)
    heights = np.tile(1000 + np.arange(SIDE, dtype="float32"), (1, SIDE, 1))
    one.dem = write(tmp_path / "d.tif", heights, crs="EPSG:4326", transform=from_origin(-179.9996, 10, STEP, STEP))
    one.rows.append(("b", "b.tif", "inv.gpkg", "", "test"))
    with pytest.raises(InputError, match=r"'a' \(train\) and 'b' \(test\) show the same ground"):
        one.check()
    one.split = {"shared_ground": "leave_out"}
    assert not any("covers" in warning for warning in one.check().warnings)
