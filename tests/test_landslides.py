"""Landslides as polygons: areas, holes, corners, probabilities, coordinate systems."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from rasterio.transform import from_origin

from apsam.products.geopackage import write_geopackage
from apsam.products.landslides import vectorise as make_polygons
from apsam.products.settings import ProductSettings

LAYER = "landslides"
ALL = ProductSettings(min_area_m2=0, fill_holes_m2=0, smooth_m=0)
UTM = ("EPSG:32648", from_origin(500000, 3000000, 0.5, 0.5))


def vectorise(
    folder: Path,
    mask: np.ndarray,
    settings: ProductSettings = ALL,
    place: tuple = UTM,
    probability: np.ndarray | None = None,
    dem: Path | None = None,
) -> gpd.GeoDataFrame:
    steps = np.where(mask == 1, 200, 50).astype(np.uint8) if probability is None else probability
    steps[mask == 255] = 255
    for name, values in (("m.tif", mask.astype(np.uint8)), ("p.tif", steps)):
        with rasterio.open(
            folder / name, "w", driver="GTiff", count=1, height=mask.shape[0], width=mask.shape[1], dtype="uint8",
            nodata=255, crs=place[0], transform=place[1],
        ) as raster:  # fmt: skip
            raster.write(values, 1)
            raster.scales = (1 / 250,)
    found = make_polygons(folder / "m.tif", folder / "p.tif", settings, "valley", "ResUNet 0123", dem)
    write_geopackage(folder / "out.gpkg", {LAYER: found})
    return gpd.read_file(folder / "out.gpkg", layer=LAYER)


def test_areas_perimeters_and_holes(tmp_path: Path) -> None:
    mask = np.zeros((120, 100), np.uint8)
    mask[10:50, 20:60] = 1
    mask[20:30, 30:40] = 0
    mask[80:90, 5:25] = 1
    mask[100:, :] = 255
    found = vectorise(tmp_path, mask)
    assert list(found.columns) == [
        "id", "area_m2", "perimeter_m", "mean_probability", "max_probability", "n_holes", "scene", "model", "geometry",
    ]  # fmt: skip
    assert found["id"].tolist() == [1, 2]
    # UTM keeps lengths to 1 in 2500: the map's own areas, as a pixel count gives them.
    assert found["area_m2"].tolist() == [(1600 - 100) / 4, 200 / 4]
    assert found["perimeter_m"].tolist() == [(160 + 40) / 2, 60 / 2]
    assert found["n_holes"].tolist() == [1, 0]
    assert found["scene"].tolist() == ["valley"] * 2 and found["model"].tolist() == ["ResUNet 0123"] * 2
    assert found.crs.to_epsg() == 32648
    assert found.geometry.is_valid.all()
    assert found.total_bounds.tolist() == [500002.5, 2999955.0, 500030.0, 2999995.0]


def test_random_mask_keeps_its_area_and_is_valid(tmp_path: Path) -> None:
    mask = (np.random.default_rng(0).random((80, 80)) < 0.5).astype(np.uint8)
    found = vectorise(tmp_path, mask)
    assert found["area_m2"].sum() == pytest.approx(mask.sum() / 4, abs=1)
    assert found.geometry.is_valid.all()
    back = rasterio.features.rasterize(found.geometry, mask.shape, transform=UTM[1])
    assert np.array_equal(back, mask)


def test_pixels_that_meet_in_a_corner_are_one_landslide(tmp_path: Path) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[2:6, 2:6] = mask[6:10, 6:10] = 1
    found = vectorise(tmp_path, mask)
    assert len(found) == 1 and found["area_m2"][0] == 8 and found.geometry.is_valid.all()


def test_ids_are_by_the_area_that_is_written(tmp_path: Path) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(3).normal(size=(600, 600)).astype(np.float32), (0, 0), 6)
    mask = (noise > np.quantile(noise, 0.85)).astype(np.uint8)
    # One probability for each outline of pixels, so that a row's probability tells its landslide.
    _, labels = cv2.connectedComponents(mask, connectivity=8)
    found = vectorise(tmp_path, mask, ProductSettings(), probability=(labels % 250).astype(np.uint8))
    assert len(found) > 40 and found["area_m2"].is_monotonic_decreasing
    assert found["id"].tolist() == list(range(1, len(found) + 1))
    assert found["area_m2"].tolist() == found.geometry.area.round(2).tolist()
    for row in found.itertuples():
        point = row.geometry.representative_point()
        label = labels[int((3000000 - point.y) * 2), int((point.x - 500000) * 2)]
        assert row.max_probability == pytest.approx(label % 250 / 250, abs=1e-4)


def test_small_landslides_are_removed_and_small_holes_filled(tmp_path: Path) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[5:45, 5:45] = 1
    mask[10:12, 10:12] = 0
    mask[20:30, 20:30] = 0
    mask[50:53, 50:53] = 1
    found = vectorise(tmp_path, mask, ProductSettings(min_area_m2=10, fill_holes_m2=2, smooth_m=0))
    assert len(found) == 1 and found["n_holes"][0] == 1
    assert found["area_m2"][0] == (1600 - 100) / 4


def test_probabilities_are_those_of_the_pixels_inside(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[5:15, 5:15] = 1
    mask[8:10, 8:10] = 0
    mask[20:30, 20:34] = 1
    probability = np.random.default_rng(1).integers(0, 251, mask.shape).astype(np.uint8)
    found = vectorise(tmp_path, mask, probability=probability.copy())
    inside = mask.copy()
    inside[:, :18] = 0
    expected = [probability[inside == 1], probability[(mask == 1) & (inside == 0)]]
    assert found["mean_probability"].tolist() == pytest.approx([v.mean() / 250 for v in expected], abs=1e-4)
    assert found["max_probability"].tolist() == pytest.approx([v.max() / 250 for v in expected], abs=1e-4)


@pytest.mark.parametrize(
    "turn",
    [
        Affine.rotation(30),
        Affine.rotation(-100),
        Affine.scale(1, -1),
        Affine(0, 1, 0, -1, 0, 0),
        Affine(0, 1, 0, 1, 0, 0),
    ],
    ids=["30 degrees", "-100 degrees", "south up", "quarter turn", "transposed"],
)
def test_rotated_rasters(tmp_path: Path, turn: Affine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apsam.products.place.PIXELS_AT_ONCE", 100)
    mask = np.zeros((40, 70), np.uint8)
    mask[5:15, 5:35] = 1
    mask[20:40, 30:70] = 1
    probability = np.random.default_rng(1).integers(0, 251, mask.shape).astype(np.uint8)
    expected = [probability[20:, 30:], probability[5:15, 5:35]]
    place = (UTM[0], Affine.translation(500000, 3000000) @ turn @ Affine.scale(0.5, -0.5))
    found = vectorise(tmp_path, mask, place=place, probability=probability.copy())
    assert found["area_m2"].tolist() == pytest.approx([200, 75])
    assert found["mean_probability"].tolist() == pytest.approx([v.mean() / 250 for v in expected], abs=1e-4)
    assert found["max_probability"].tolist() == pytest.approx([v.max() / 250 for v in expected], abs=1e-4)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_areas_are_correct_in_distorting_crs(tmp_path: Path, crs: str) -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[20:80, 20:80] = 1
    mask[40:50, 40:50] = 0
    if crs == "EPSG:4326":
        place = (crs, from_origin(104.0, 30.0, 5e-6, 5e-6))
    else:
        # The same ground at 30 degrees north, where Web Mercator draws it 1.155 times too long.
        place = (crs, from_origin(11577227, 3503549, 0.5566, 0.6427))
    found = vectorise(tmp_path, mask, place=place)
    # A degree at 30 N: 96,486 m of longitude, 110,852 m of latitude (WGS 84).
    area = 3500 * (5e-6 * 96486) * (5e-6 * 110852)
    assert found["area_m2"][0] == pytest.approx(area, rel=0.01)
    sides = (60 + 10) * 2 * 5e-6 * (96486 + 110852)
    assert found["perimeter_m"][0] == pytest.approx(sides, rel=0.01)


def test_no_landslide_gives_an_empty_layer(tmp_path: Path) -> None:
    found = vectorise(tmp_path, np.zeros((30, 30), np.uint8))
    info = pyogrio.read_info(tmp_path / "out.gpkg", layer=LAYER)
    assert len(found) == 0 and info["features"] == 0
    assert info["geometry_type"] == "MultiPolygon" and "32648" in info["crs"]
    assert "mean_probability" in info["fields"]


def test_the_same_mask_gives_the_same_bytes(tmp_path: Path) -> None:
    mask = (np.random.default_rng(4).random((40, 40)) < 0.3).astype(np.uint8)
    written = []
    for _ in range(2):
        vectorise(tmp_path, mask)
        written.append((tmp_path / "out.gpkg").read_bytes())
        time.sleep(0.01)
    assert written[0] == written[1]
