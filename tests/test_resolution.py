"""`tiles.resolution_m`: scenes read as area averages of finer pixels, with labels, masks and coordinates."""

from __future__ import annotations

from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin
from rasters import write_raster
from shapely import box

from apsam.reference_mask import ReferenceMaskReader
from apsam.reference_mask.raster import most_frequent
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.tiles.reader import SceneReader
from apsam.tiles.resolution import PixelGrid, area_sums, ground_sides_m, reading_grid
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

UTM = from_origin(500000, 3000000, 0.5, 0.5)


def noise(height: int, width: int, dtype: str = "uint8") -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(1, 256 if dtype == "uint8" else 4000, (3, height, width)).astype(dtype)


@pytest.mark.parametrize(("height", "width", "metres"), [(120, 160, 1.0), (121, 165, 1.3), (200, 90, 4.0)])
def test_pixels_are_area_averages(tmp_path: Path, height: int, width: int, metres: float) -> None:
    pixels = noise(height, width)
    image = write_raster(tmp_path / "a.tif", pixels)
    with SceneReader(image, TileSettings(resolution_m=metres)) as scene:
        assert (scene.height, scene.width) == (round(height * 0.5 / metres), round(width * 0.5 / metres))
        assert scene.bounds == (500000, 3000000 - height / 2, 500000 + width / 2, 3000000)
        assert scene.transform @ (scene.width, scene.height) == pytest.approx((500000 + width / 2, scene.bounds[1]))
        whole, valid = scene.read(0, 0, scene.height, scene.width)
        right = cv2.resize(
            pixels.transpose(1, 2, 0).astype(np.float32), (scene.width, scene.height), interpolation=cv2.INTER_AREA
        )
        assert np.abs(whole - right.transpose(2, 0, 1)).max() <= 0.51
        assert valid.all() and scene.valid(None).all()
        # Windows agree with the whole to the bit, and may stick out.
        part, inside = scene.read(7, 11, 40, 60)
        shown = whole[:, 7:47, 11:71]
        assert np.array_equal(part[:, : shown.shape[1], : shown.shape[2]], shown)
        assert inside.sum() == shown[0].size


def test_only_valid_pixels_count(tmp_path: Path) -> None:
    pixels = np.full((3, 8, 8), 100, np.uint8)
    pixels[:, :, 3:] = 0
    image = write_raster(tmp_path / "a.tif", pixels, nodata=0)
    with SceneReader(image, TileSettings(resolution_m=1)) as scene:
        read, valid = scene.read(0, 0, 4, 4)
    # The second pixel of each row is half data: it counts, with the value of its data.
    assert valid.tolist() == [[1, 1, 0, 0]] * 4
    assert read[0].tolist() == [[100, 100, 0, 0]] * 4


def test_the_stretch_is_that_of_the_stored_values(tmp_path: Path) -> None:
    pixels = noise(200, 200, "uint16")
    image = write_raster(tmp_path / "a.tif", pixels)
    with SceneReader(image, TileSettings()) as fine, SceneReader(image, TileSettings(resolution_m=1)) as coarse:
        assert np.array_equal(fine.limits, coarse.limits)
        low, high = (limit[:, None, None] for limit in fine.limits)
        means = pixels.reshape(3, 100, 2, 100, 2).mean(axis=(2, 4))
        right = np.clip((means - low) / (high - low), 0, 1) * 255
        assert np.abs(coarse.read(0, 0, 100, 100)[0] - right).max() <= 0.51


def test_colours_of_a_palette_are_averaged_not_its_numbers(tmp_path: Path) -> None:
    numbers = np.tile(np.array([1, 9], np.uint8), (8, 4))
    image = write_raster(tmp_path / "a.tif", numbers)
    with rasterio.open(image, "r+") as raster:
        raster.write_colormap(1, {0: (0, 0, 0, 255), 1: (200, 0, 0, 255), 9: (0, 100, 0, 255)})
    with SceneReader(image, TileSettings(resolution_m=1)) as scene:
        read, _ = scene.read(0, 0, 4, 4)
    assert read[:, 0, 0].tolist() == [100, 50, 0]


def test_coarser_scenes_are_not_resampled_and_warn(tmp_path: Path) -> None:
    image = write_raster(tmp_path / "a.tif", noise(60, 60))
    notes = {}
    for metres in (None, 0.2, 0.49, 0.5, 0.52, 1.0):
        with SceneReader(image, TileSettings(resolution_m=metres)) as scene:
            notes[metres] = scene.resolution_note()
            assert scene.averaged is (metres == 1.0)
    assert {metres for metres, note in notes.items() if note} == {0.2, 1.0}
    assert "coarser than tiles.resolution_m (0.2 m)" in notes[0.2]
    assert "pixels of 0.5 m are read as averages of 1 m" in notes[1.0]


def test_degrees_become_square_metres() -> None:
    crs = rasterio.CRS.from_epsg(4326).to_wkt()
    # At 60 degrees north a degree to the east is half as long as one to the north.
    stored = PixelGrid(1000, 2000, from_origin(20, 60, 5e-6, 5e-6))
    across, down = ground_sides_m(crs, stored)
    assert (across, down) == pytest.approx((0.279, 0.557), rel=0.01)
    grid = reading_grid(stored, crs, 1.0)
    assert ground_sides_m(crs, grid) == pytest.approx((1.0, 1.0), rel=0.01)
    assert grid.transform @ (grid.width, grid.height) == pytest.approx(stored.transform @ (2000, 1000))
    only_across = reading_grid(stored, crs, 0.557)
    assert (only_across.height, only_across.width) == (1000, pytest.approx(1000, abs=5))


def test_area_sums_share_pixels_by_area() -> None:
    sums = area_sums(np.arange(12.0).reshape(1, 3, 4), np.array([0, 1.5, 3]), np.array([0, 4]))
    assert sums.tolist() == [[[6 + 11], [11 + 38]]]
    whole = area_sums(np.ones((2, 9, 7)), np.linspace(0, 9, 4), np.linspace(0, 7, 3))
    assert np.allclose(whole, 3 * 3.5) and whole.shape == (2, 3, 2)


def test_mask_pixels_have_the_majority_value(tmp_path: Path) -> None:
    squares = np.array([[1, 1, 0, 0, 255, 255, 255, 1], [0, 0, 0, 1, 1, 0, 255, 255]], np.uint8)
    assert most_frequent(squares, 2).tolist() == [[1, 0, 1, 255]]
    image = write_raster(tmp_path / "a.tif", noise(80, 80))
    mask = np.zeros((80, 80), np.uint8)
    mask[10:30, 21:40] = 1
    placed = write_raster(tmp_path / "m.tif", mask)
    plain = write_raster(tmp_path / "n.tif", mask, None, Affine.identity())
    right = most_frequent(mask, 2)
    with SceneReader(image, TileSettings(resolution_m=1)) as scene:
        for path in (placed, plain):
            with ReferenceMaskReader(path, scene) as reference:
                assert np.array_equal(reference.read(0, 0, 40, 40), right)
                assert np.array_equal(reference.read(3, 5, 30, 30), right[3:33, 5:35])
                assert reference.overview(40).shape == (40, 40)


def test_tiles_are_at_their_coordinates(tmp_path: Path) -> None:
    image = write_raster(tmp_path / "a.tif", noise(320, 300))
    mask = np.zeros((320, 300), np.uint8)
    mask[200:240, 40:90] = 1
    scene = Scene("a", "raster", image, None, write_raster(tmp_path / "m.tif", mask), "train")
    settings = TileSettings(size=64, overlap=0.4, resolution_m=1)
    tile_scene(scene, settings, LabelSettings(), SplitSettings(), tmp_path / "t.zarr.zip")
    with TileStack(tmp_path / "t.zarr.zip") as stack:
        windows, labels = stack.read("window"), stack.read("label")
        assert (stack.attributes["height"], stack.attributes["width"]) == (160, 150)
        assert stack.attributes["transform"][:6:4] == [1, -1]
        assert stack.attributes["resolution_m"] == pytest.approx(1, rel=1e-3)
    for (row, col, height, width), label in zip(windows.tolist(), labels.tolist(), strict=True):
        assert label == mask[2 * row : 2 * (row + height), 2 * col : 2 * (col + width)].any()


def test_a_scene_in_degrees_with_outlines_of_another_crs(tmp_path: Path) -> None:
    place = from_origin(20, 60, 1e-5, 5e-6)
    image = write_raster(tmp_path / "a.tif", noise(300, 320), "EPSG:4326", place)
    shape = box(20 + 100 * 1e-5, 60 - 160 * 5e-6, 20 + 130 * 1e-5, 60 - 120 * 5e-6)
    gpd.GeoDataFrame(geometry=[shape], crs="EPSG:4326").to_crs(32634).to_file(tmp_path / "inv.gpkg")
    scene = Scene("a", "raster", image, tmp_path / "inv.gpkg", tmp_path / "inv.gpkg", "train")
    settings = TileSettings(size=64, overlap=0.4, resolution_m=1.1)
    tile_scene(scene, settings, LabelSettings(), SplitSettings(), tmp_path / "t.zarr.zip")
    with TileStack(tmp_path / "t.zarr.zip") as stack:
        windows, labels, attributes = stack.read("window"), stack.read("label"), stack.attributes
    grid = Affine(*attributes["transform"])
    assert ground_sides_m(attributes["crs"], PixelGrid(attributes["height"], attributes["width"], grid)) == (
        pytest.approx((1.1, 1.1), rel=0.01)
    )
    for (row, col, height, width), label in zip(windows.tolist(), labels.tolist(), strict=True):
        left, top = grid @ (col, row)
        right, bottom = grid @ (col + width, row + height)
        assert label == shape.intersects(box(left, bottom, right, top))
    with SceneReader(image, settings) as reader, ReferenceMaskReader(tmp_path / "inv.gpkg", reader) as reference:
        rows, cols = np.nonzero(reference.read(0, 0, reader.height, reader.width))
        x, y = grid @ (np.array([cols.min(), cols.max() + 1]), np.array([rows.max() + 1, rows.min()]))
    assert [x[0], y[0], x[1], y[1]] == pytest.approx(shape.bounds, abs=1e-5)
