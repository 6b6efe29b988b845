"""Smoothed outlines: areas, holes and parts stay, outlines do not cross, shared borders stay shared."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from rasterio.features import shapes
from shapely import MultiPolygon, Polygon, box
from shapely.geometry import shape

from apsam.products.smoothing import AREA_CHANGE, smooth


def landslides(mask: np.ndarray) -> list[MultiPolygon]:
    found = [shape(outline) for outline, value in shapes(mask.astype(np.uint8), connectivity=8) if value == 1]
    valid = [shapely.make_valid(one, method="structure", keep_collapsed=False) for one in found]
    return [MultiPolygon(shapely.get_parts(one).tolist()) for one in valid]


def blobs(seed: int, side: int = 300) -> list[MultiPolygon]:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(side, side)), (0, 0), 6)
    return landslides(noise > np.quantile(noise, 0.7))


def change(one: MultiPolygon, other: MultiPolygon) -> float:
    return abs(one.area / other.area - 1)


def holes(landslide: MultiPolygon) -> list[int]:
    return [len(part.interiors) for part in landslide.geoms]


def crossings(found: list[MultiPolygon]) -> int:
    shape_array = np.array(found, object)
    first, second = shapely.STRtree(shape_array).query(shape_array, predicate="intersects")
    pairs = first < second
    return int(shapely.relate_pattern(shape_array[first[pairs]], shape_array[second[pairs]], "T********").sum())


@pytest.mark.parametrize("length", [2, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_areas_holes_and_parts_stay_and_nothing_crosses(seed: int, length: float) -> None:
    plain = blobs(seed)
    found = smooth(plain, length)
    assert len(plain) > 15 and len(found) == len(plain)
    assert max(change(a, b) for a, b in zip(found, plain, strict=True)) <= AREA_CHANGE
    assert [holes(one) for one in found] == [holes(one) for one in plain]
    assert all(one.is_valid for one in found)
    assert crossings(found) == 0


def test_pixel_steps_are_removed() -> None:
    y, x = np.mgrid[:200, :200]
    disc = landslides((y - 100) ** 2 + (x - 100) ** 2 < 80**2)
    (found,) = smooth(disc, 2)
    # Steps make a circle's outline 4 / pi times too long.
    assert disc[0].length / (2 * np.pi * 80) > 1.25
    assert found.length / (2 * np.pi * 80) == pytest.approx(1, abs=0.03)
    corners = np.diff(shapely.get_coordinates(found), axis=0)
    turns = np.abs(np.diff(np.unwrap(np.arctan2(corners[:, 1], corners[:, 0]))))
    assert turns.max() < np.radians(40)


def test_a_shared_border_stays_shared() -> None:
    y, x = np.mgrid[:120, :160]
    edge = 60 + 12 * np.sin(x / 9)
    classes = np.where(y < edge, 1, 2).astype(np.uint8)
    pair = [MultiPolygon([shape(outline)]) for outline, _ in shapes(classes)]
    found = smooth(pair, 2)
    assert crossings(found) == 0
    gap = box(0, 0, 160, 120).difference(shapely.union_all(found))
    assert gap.area < 0.005 * 160 * 120
    shared = found[0].intersection(found[1]).length
    assert shared > 0.8 * pair[0].intersection(pair[1]).length * np.pi / 4


def test_those_that_would_change_too_much_follow_their_pixels() -> None:
    thin = [MultiPolygon([box(0, 0, 1, 40)]), MultiPolygon([box(10, 0, 14, 4)])]
    assert smooth(thin, 8)[0].area == pytest.approx(40, rel=AREA_CHANGE)
    assert smooth(thin, 8)[1].area == pytest.approx(16, rel=AREA_CHANGE)
    assert smooth(thin, 0) is thin and smooth([], 3) == []


def test_an_island_in_a_hole_is_not_reached() -> None:
    ring = Polygon(box(0, 0, 60, 60).exterior, [box(20, 20, 40, 40).exterior])
    pair = [MultiPolygon([ring]), MultiPolygon([box(21, 21, 39, 39)])]
    found = smooth(pair, 6)
    assert crossings(found) == 0 and holes(found[0]) == [1]
