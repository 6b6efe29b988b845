"""Tiling: windows, georeferencing to the pixel, bands, stretch, no data, labels, parts."""

from __future__ import annotations

import csv

import cv2
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from rasters import TRANSFORM, write_raster
from shapely import Point, box

from apsam.errors import InputError
from apsam.labelling.grid import write_grid
from apsam.reference_mask import ReferenceMaskReader
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.tiles.parts import NEITHER, TEST, TRAIN, parts_by_blocks
from apsam.tiles.reader import SceneReader
from apsam.tiles.ready_made import read_tile_image
from apsam.tiles.ready_made_masks import read_tile_mask
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene
from apsam.tiles.windows import positions, tile_windows

SMALL = TileSettings(size=64, overlap=0.4)


def coordinates(height, width):
    """An image whose colour says where each pixel is."""
    row, col = np.mgrid[:height, :width]
    return np.stack([row % 256, col % 256, (row // 256) * 16 + col // 256]).astype(np.uint8)


def raster_scene(path, labels=None, mask=None, split="train"):
    return Scene("a", "raster", path, labels, mask, split)


def tile(scene, output, tiles=SMALL, labels=None, split=None):
    tile_scene(scene, tiles, labels or LabelSettings(), split or SplitSettings(), output)
    return TileStack(output)


def test_the_papers_grid():
    assert TileSettings().stride == 154
    assert positions(1024, 256, 154) == [0, 154, 308, 462, 616, 768]
    assert positions(256, 256, 154) == [0]
    assert positions(100, 256, 154) == [0]


@pytest.mark.parametrize("length", range(60, 400, 7))
def test_tiles_cover_everything_and_none_sticks_out(length):
    starts = positions(length, 64, 38)
    assert starts == sorted(set(starts))
    covered = np.zeros(max(length, 64), bool)
    for start in starts:
        covered[start : start + 64] = True
    assert covered[:length].all()
    assert length < 64 or starts[-1] == length - 64


def test_pixels_and_windows_agree(tmp_path):
    image = coordinates(300, 350)
    write_raster(tmp_path / "a.tif", image)
    mask = write_raster(tmp_path / "m.tif", (image[0] > 200).astype(np.uint8)[None])
    with tile(raster_scene(tmp_path / "a.tif", mask=mask), tmp_path / "a.zarr.zip") as stack:
        assert stack.attributes["resolution_m"] == pytest.approx(0.5, rel=1e-3)
        assert rasterio.Affine(*stack.attributes["transform"]) == TRANSFORM
        tiles, windows, labels = stack.read("image"), stack.read("window"), stack.read("label")
        assert len(stack) == len(tile_windows(300, 350, 64, 38))
        for pixels, (row, col, height, width), label in zip(tiles, windows, labels, strict=True):
            np.testing.assert_array_equal(pixels, image[:, row : row + height, col : col + width])
            assert label == (image[0, row : row + height, col : col + width] > 200).any()
        rebuilt = np.zeros_like(image)
        for pixels, (row, col, height, width) in zip(tiles, windows, strict=True):
            rebuilt[:, row : row + height, col : col + width] = pixels
        np.testing.assert_array_equal(rebuilt, image)


def test_band_choice_and_percentile_stretch_of_16_bit(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(1000, 3000, (4, 200, 200)).astype(np.uint16)
    write_raster(tmp_path / "a.tif", values)
    settings = TileSettings(size=64, bands=(4, 3, 2), percentiles=(0, 100))
    with SceneReader(tmp_path / "a.tif", settings) as scene:
        image, valid = scene.read(10, 20, 64, 64)
    expected = (values[[3, 2, 1], 10:74, 20:84] - 1000) / 1999 * 255
    assert valid.all() and np.abs(image - expected).max() <= 1


def test_no_data_by_mask_value_and_nan(tmp_path):
    image = np.full((3, 128, 128), 7, np.uint8)
    mask = np.full((128, 128), 255, np.uint8)
    mask[:, 64:] = 0
    write_raster(tmp_path / "masked.tif", image, mask=mask)
    with tile(raster_scene(tmp_path / "masked.tif", mask=write_reference(tmp_path)), tmp_path / "a.zarr.zip") as stack:
        assert (stack.read("window")[:, 1] < 64).all(), "tiles without valid pixels are left out"
        first = stack.read("valid", 0, 1)[0]
        np.testing.assert_array_equal(first, 1)
    values = np.full((3, 128, 128), 5, np.float32)
    values[0, 3, 4] = np.nan
    values[:, 9, 9] = -1
    write_raster(tmp_path / "nan.tif", values)
    with SceneReader(tmp_path / "nan.tif", TileSettings(size=64, nodata=-1)) as scene:
        valid = scene.read(0, 0, 64, 64)[1]
    assert valid[3, 4] == 0 and valid[9, 9] == 0 and valid.sum() == 64 * 64 - 2


def test_dark_pixel_is_valid(tmp_path):
    image = np.full((4, 128, 128), 9, np.uint8)
    image[0, 3, 4] = image[1:3, 5, 6] = 0
    image[:3, 7, 8] = 0
    path = write_raster(tmp_path / "a.tif", image[:3], nodata=0)
    with SceneReader(path, SMALL) as scene:
        valid = scene.read(0, 0, 64, 64)[1]
    assert valid[7, 8] == 0 and valid.sum() == 64 * 64 - 1
    # Alpha is what it says.
    image[3] = 255
    image[3, 3, 4] = 0
    profile = {"driver": "GTiff", "count": 4, "height": 128, "width": 128, "dtype": "uint8", "crs": "EPSG:32648"}
    with rasterio.open(path, "w", transform=TRANSFORM, photometric="RGB", alpha="yes", **profile) as raster:
        raster.write(image)
    with SceneReader(path, SMALL) as scene:
        valid = scene.read(0, 0, 64, 64)[1]
    assert valid[3, 4] == 0 and valid.sum() == 64 * 64 - 1


def write_reference(folder):
    reference = np.zeros((1, 128, 128), np.uint8)
    reference[:, 40:50, 40:50] = 1
    return write_raster(folder / "truth.tif", reference, nodata=255)


def test_a_scene_smaller_than_a_tile(tmp_path):
    write_raster(tmp_path / "a.tif", coordinates(50, 40))
    with tile(raster_scene(tmp_path / "a.tif", mask=write_reference(tmp_path)), tmp_path / "a.zarr.zip") as stack:
        assert len(stack) == 1
        assert stack.read("valid")[0].sum() == 50 * 40


def test_labels_from_points_polygons_and_table(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    at = TRANSFORM @ (100.5, 20.5)
    gpd.GeoDataFrame(geometry=[Point(at)], crs="EPSG:32648").to_crs(4326).to_file(tmp_path / "points.gpkg")
    with tile(raster_scene(path, labels=tmp_path / "points.gpkg"), tmp_path / "p.zarr.zip") as stack:
        windows, labels = stack.read("window"), stack.read("label")
    expected = [(r <= 20 < r + h) and (c <= 100 < c + w) for r, c, h, w in windows.tolist()]
    assert labels.tolist() == expected and 0 < sum(expected) < len(expected)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tile", "label"])
        writer.writerows([f"r{r}_c{c}", int(e)] for (r, c, _, _), e in zip(windows.tolist(), expected, strict=True))
    with tile(raster_scene(path, labels=tmp_path / "labels.csv"), tmp_path / "t.zarr.zip") as stack:
        assert stack.read("label").tolist() == expected


def test_points_that_stand_for_whole_landslides(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    at = Point(TRANSFORM @ (100.5, 20.5))
    gpd.GeoDataFrame(geometry=[at], crs="EPSG:32648").to_crs(4326).to_file(tmp_path / "points.gpkg")
    scene, labels = raster_scene(path, labels=tmp_path / "points.gpkg"), LabelSettings(buffer_m=20)
    with tile(scene, tmp_path / "b.zarr.zip", labels=labels) as stack:
        windows, found = stack.read("window"), stack.read("label")
    corners = [[TRANSFORM @ (c, r), TRANSFORM @ (c + w, r + h)] for r, c, h, w in windows.tolist()]
    near = [box(a[0], b[1], b[0], a[1]).distance(at) for a, b in corners]
    # A circle is drawn with 64 corners, and UTM is 1 in 2500 off.
    assert [distance for distance, label in zip(near, found, strict=True) if not label and distance < 19.9] == []
    assert [distance for distance, label in zip(near, found, strict=True) if label and distance > 20.1] == []
    assert found.sum() > sum(distance == 0 for distance in near)


def test_a_grid_labelled_in_a_gis(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    write_grid(path, SMALL, tmp_path / "grid.gpkg")
    with pytest.raises(InputError, match="without any label"):
        tile(raster_scene(path, labels=tmp_path / "grid.gpkg"), tmp_path / "e.zarr.zip")
    grid = gpd.read_file(tmp_path / "grid.gpkg")
    given = [1, 0, None] * len(grid)
    grid["label"] = pd.array(given[: len(grid)], dtype="Int8")
    grid.to_file(tmp_path / "grid.gpkg", layer="tiles")
    with tile(raster_scene(path, labels=tmp_path / "grid.gpkg"), tmp_path / "g.zarr.zip") as stack:
        assert stack.read("label").tolist() == [label or 0 for label in given[: len(grid)]]
        # Nobody looked at every third tile: it neither trains nor measures.
        assert stack.read("part").tolist() == [0 if label is not None else 255 for label in given[: len(grid)]]
    grid.drop(columns="geometry").to_csv(tmp_path / "grid.csv", index=False)
    with tile(raster_scene(path, labels=tmp_path / "grid.csv"), tmp_path / "c.zarr.zip") as stack:
        assert stack.read("part").tolist() == [0 if label is not None else 255 for label in given[: len(grid)]]


def test_labels_for_tiles_that_do_not_exist(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    (tmp_path / "labels.csv").write_text("tile,label\nr0_c0,1\nr7_c7,0\n")
    with pytest.raises(InputError, match="do not exist, for example 'r7_c7'"):
        tile(raster_scene(path, labels=tmp_path / "labels.csv"), tmp_path / "a.zarr.zip")
    assert not (tmp_path / "a.zarr.zip").exists()


def labels_and_parts(scene, output, **settings):
    """(row, col) of its window -> label and part of every tile."""
    with tile(scene, output, **settings) as stack:
        values = [stack.read(name).tolist() for name in ("window", "label", "part")]
    return {(row, col): (label, part) for (row, col, _, _), label, part in zip(*values, strict=True)}


def test_a_scene_without_features_is_negative(tmp_path, caplog):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1), Point(-165, 0)], crs=4326).to_file(tmp_path / "far.gpkg")
    found = labels_and_parts(raster_scene(path, labels=tmp_path / "far.gpkg"), tmp_path / "a.zarr.zip")
    assert set(found.values()) == {(0, TRAIN)} and len(found) == 9
    assert f"far.gpkg: no feature touches the scene {path}" in caplog.text


def test_tile_outside_the_mask_is_not_negative(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    reference = np.zeros((1, 80, 128), np.uint8)
    reference[0, 70, 100] = 1
    mask = write_raster(tmp_path / "m.tif", reference)
    found = labels_and_parts(raster_scene(path, mask=mask), tmp_path / "a.zarr.zip")
    # The mask ends at row 80: of the tiles of rows 38 to 102 it knows two thirds, of those from 64 on a quarter.
    for (row, col), (label, part) in found.items():
        there = row + 64 > 70 and col + 64 > 100
        assert (label, part) == (1, TRAIN) if there else (0, NEITHER if row == 64 else TRAIN)
    assert (1, TRAIN) in found.values() and (0, NEITHER) in found.values() and (0, TRAIN) in found.values()


@pytest.fixture
def with_a_collar(tmp_path):
    """A scene whose columns from 80 on have no data."""
    valid = np.full((128, 128), 255, np.uint8)
    valid[:, 80:] = 0
    return write_raster(tmp_path / "a.tif", coordinates(128, 128), mask=valid)


def test_landslide_counts_only_on_valid_pixels(tmp_path, with_a_collar):
    reference = np.zeros((1, 128, 128), np.uint8)
    reference[0, 10, 90], reference[0, 120, 70] = 1, 1
    mask = write_raster(tmp_path / "m.tif", reference)
    found = labels_and_parts(raster_scene(with_a_collar, mask=mask), tmp_path / "a.zarr.zip")
    assert {place for place, (label, _) in found.items() if label} == {(64, 38), (64, 64)}
    assert {part for _, part in found.values()} == {TRAIN}


def test_tile_with_landslides_only_on_no_data_is_not_labelled(tmp_path, with_a_collar):
    spots = [Point(TRANSFORM @ (90.5, 10.5)), box(*(TRANSFORM @ (78.8, 125)), *(TRANSFORM @ (110, 121)))]
    gpd.GeoDataFrame(geometry=spots, crs="EPSG:32648").to_file(tmp_path / "p.gpkg")
    scene = raster_scene(with_a_collar, labels=tmp_path / "p.gpkg")
    found = labels_and_parts(scene, tmp_path / "a.zarr.zip")
    hidden, shown, bare = (0, NEITHER), (1, TRAIN), (0, TRAIN)
    expected = {(0, 0): bare, (38, 0): bare, (64, 0): bare, (0, 38): hidden, (38, 38): bare, (64, 38): shown}
    assert found == {**expected, (0, 64): hidden, (38, 64): bare, (64, 64): shown}
    # Widened by 6 m, 12 pixels, the point reaches the pixels that have data.
    wide = labels_and_parts(scene, tmp_path / "w.zarr.zip", labels=LabelSettings(buffer_m=6))
    assert wide[0, 38] == wide[0, 64] == shown and wide[0, 0] == bare


@pytest.mark.parametrize("angle", [0, 10, 45, 100])
@pytest.mark.parametrize("south_up", [False, True])
def test_rotated_and_south_up_scenes(tmp_path, angle, south_up):
    flip = rasterio.Affine.scale(0.5, 0.5 if south_up else -0.5)
    place = rasterio.Affine.translation(500000, 3000000) @ rasterio.Affine.rotation(angle) @ flip
    write_raster(tmp_path / "a.tif", coordinates(200, 150), transform=place)
    spots = [(105.5, 20.5), (30.5, 180.5)]
    layer = gpd.GeoDataFrame(geometry=[Point(place @ spot) for spot in spots], crs="EPSG:32648")
    layer.to_file(tmp_path / "p.gpkg")
    layer.buffer(0.8).to_file(tmp_path / "m.gpkg")
    north_up = np.zeros((1, 600, 600), np.uint8)
    corner = from_origin(500000 - 150, 3000000 + 150, 0.5, 0.5)
    for x, y in spots:
        col, row = ~corner @ (place @ (x, y))
        north_up[0, int(row) - 1 : int(row) + 2, int(col) - 1 : int(col) + 2] = 1
    write_raster(tmp_path / "m.tif", north_up, transform=corner)
    points = labels_and_parts(raster_scene(tmp_path / "a.tif", labels=tmp_path / "p.gpkg"), tmp_path / "p.zarr.zip")
    expected = {(row, col): any(row <= y < row + 64 and col <= x < col + 64 for x, y in spots) for row, col in points}
    assert {window: label for window, (label, _) in points.items()} == expected
    assert 0 < sum(expected.values()) < len(expected)
    for mask in ("m.gpkg", "m.tif"):
        found = labels_and_parts(raster_scene(tmp_path / "a.tif", mask=tmp_path / mask), tmp_path / "m.zarr.zip")
        assert {window: label for window, (label, _) in found.items()} == expected
    with SceneReader(tmp_path / "a.tif", SMALL) as scene:
        assert scene.resolution == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "crs", "message"),
    [
        (np.zeros((3, 64, 64), np.uint8), None, "no coordinate reference system"),
        (np.zeros((1, 64, 64), np.uint8), "EPSG:32648", r"has 1 band\(s\)"),
    ],
)
def test_scenes_that_cannot_be_used(tmp_path, values, crs, message):
    write_raster(tmp_path / "a.tif", values, crs=crs)
    with pytest.raises(InputError, match=message):
        SceneReader(tmp_path / "a.tif", SMALL)


def test_reference_mask_of_another_crs_and_resolution_is_reprojected(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    coarse = np.zeros((1, 64, 64), np.uint8)
    coarse[:, 10:20, 30:40] = 255
    write_raster(tmp_path / "m.tif", coarse, transform=from_origin(500000, 3000000, 1, 1))
    with SceneReader(path, SMALL) as scene, ReferenceMaskReader(tmp_path / "m.tif", scene) as reference:
        values = reference.read(0, 0, 128, 128)
    expected = np.zeros((128, 128), np.uint8)
    expected[20:40, 60:80] = 1
    np.testing.assert_array_equal(values, expected)


def test_reference_mask_without_crs_must_have_the_scenes_shape(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    write_raster(tmp_path / "m.tif", np.zeros((1, 64, 64), np.uint8), crs=None)
    with SceneReader(path, SMALL) as scene, pytest.raises(InputError, match="give the mask a CRS"):
        ReferenceMaskReader(tmp_path / "m.tif", scene)


def test_reference_mask_from_polygons_and_outside_the_scene(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    x, y = TRANSFORM @ (10, 10)
    gpd.GeoDataFrame(geometry=[box(x, y - 5, x + 10, y)], crs="EPSG:32648").to_file(tmp_path / "m.gpkg")
    with SceneReader(path, SMALL) as scene, ReferenceMaskReader(tmp_path / "m.gpkg", scene) as reference:
        values = reference.read(-4, 0, 64, 64)
    assert (values[:4] == 255).all()
    assert (values[14:24, 10:30] == 1).all() and (values == 1).sum() == 200


def read_reference(folder, size=128):
    with SceneReader(folder / "a.tif", SMALL) as scene, ReferenceMaskReader(folder / "m.tif", scene) as reference:
        return reference.read(0, 0, size, size)


@pytest.fixture
def plain(tmp_path):
    """A scene of 128 x 128 px, and where a mask of it shows a landslide."""
    write_raster(tmp_path / "a.tif", coordinates(128, 128))
    there = np.zeros((128, 128), np.uint8)
    there[20:40, 60:80] = 1
    return there


def test_mask_with_no_data_value_0_has_background(tmp_path, plain, caplog):
    # QGIS's Rasterize writes this: read as "unknown", any map would score 1.0.
    write_raster(tmp_path / "m.tif", plain[None], nodata=0)
    np.testing.assert_array_equal(read_reference(tmp_path), plain)
    assert "m.tif: its declared no-data value is 0" in caplog.text
    caplog.clear()
    write_raster(tmp_path / "m.tif", plain[None] + np.uint8(4) * (plain == 1), nodata=5)
    np.testing.assert_array_equal(read_reference(tmp_path), np.where(plain == 1, 255, 0))
    assert not caplog.text


@pytest.mark.parametrize("nodata", [None, 0, 255])
def test_mask_of_a_part_of_the_scene_is_unknown_elsewhere(tmp_path, plain, nodata):
    write_raster(tmp_path / "m.tif", plain[None, :, :70], nodata=nodata)
    expected = plain.copy()
    expected[:, 70:] = 255
    np.testing.assert_array_equal(read_reference(tmp_path), expected)


@pytest.mark.parametrize("nodata", [None, np.nan, -1])
def test_float_mask_is_unknown_at_nan(tmp_path, plain, nodata):
    values = plain[None].astype(np.float32)
    values[0, 3, 4], values[0, 5, 6] = np.nan, np.inf
    values[0, 7, 8] = np.nan if nodata is None else nodata
    write_raster(tmp_path / "m.tif", values, nodata=nodata)
    plain[3, 4] = plain[5, 6] = plain[7, 8] = 255
    np.testing.assert_array_equal(read_reference(tmp_path), plain)


def test_a_mask_in_colour(tmp_path, plain):
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 1)):
        write_raster(tmp_path / "m.tif", plain * np.array(colour, np.uint8)[:, None, None])
        np.testing.assert_array_equal(read_reference(tmp_path), plain)
    # A channel that has the no-data value alone is a colour.
    red = plain * np.array((255, 0, 0), np.uint8)[:, None, None]
    red[:, 3, 4] = 255
    write_raster(tmp_path / "m.tif", red, nodata=255)
    plain[3, 4] = 255
    np.testing.assert_array_equal(read_reference(tmp_path), plain)


def test_transparent_mask_pixel_is_background(tmp_path, plain):
    write_raster(tmp_path / "m.tif", np.stack([0 * plain, 255 * plain, 0 * plain, 255 * plain]))
    np.testing.assert_array_equal(read_reference(tmp_path), plain)
    # White without opacity, half a scene to the side.
    values = np.stack([np.full((128, 128), 255, np.uint8)] * 3 + [255 * plain])
    write_raster(tmp_path / "m.tif", values, transform=from_origin(500000, 3000000 - 32, 0.5, 0.5))
    np.testing.assert_array_equal(read_reference(tmp_path), np.pad(plain[:64], ((64, 0), (0, 0)), constant_values=255))
    write_raster(tmp_path / "m.tif", values, crs=None)
    np.testing.assert_array_equal(read_reference(tmp_path), plain)


def test_only_polygons_in_the_window_are_rasterized(tmp_path, plain, monkeypatch):
    path = tmp_path / "a.tif"
    spots = [(row, col) for row in range(4, 124, 12) for col in range(4, 124, 12)]
    shapes = [box(*(TRANSFORM @ (col, row + 3)), *(TRANSFORM @ (col + 5, row))) for row, col in spots]
    # What lies on the other side of the earth is infinite in the scene's CRS.
    layer = gpd.GeoDataFrame(geometry=shapes, crs="EPSG:32648").to_crs(4326)
    layer = pd.concat([layer, gpd.GeoDataFrame(geometry=[Point(-165, 0).buffer(70), Point(15, 0)], crs=4326)])
    layer.to_file(tmp_path / "m.gpkg")
    burnt = []

    def rasterize(shapes, *args, **kwargs):
        burnt.append(len(shapes))
        return rasterio.features.rasterize(shapes, *args, **kwargs)

    monkeypatch.setattr("apsam.reference_mask.polygons.rasterize", rasterize)
    expected = np.zeros((128, 128), np.uint8)
    for row, col in spots:
        expected[row : row + 3, col : col + 5] = 1
    with SceneReader(path, SMALL) as scene, ReferenceMaskReader(tmp_path / "m.gpkg", scene) as reference:
        np.testing.assert_array_equal(reference.read(30, 50, 40, 40), expected[30:70, 50:90])
        assert (reference.read(0, 0, 3, 128) == 0).all() and len(burnt) == 1 and burnt[0] <= 16
        np.testing.assert_array_equal(reference.read(0, 0, 128, 128), expected)


def test_parts_share_no_pixel():
    windows = tile_windows(700, 900, 64, 38)
    parts = parts_by_blocks(windows, 700, 900, SplitSettings(block=200, test_share=0.3, seed=3))
    used = {part: np.zeros((700, 900), bool) for part in (TRAIN, TEST)}
    for part, (row, col, height, width) in zip(parts, windows, strict=True):
        if part != NEITHER:
            used[part][row : row + height, col : col + width] = True
    assert used[TRAIN].any() and used[TEST].any()
    assert not (used[TRAIN] & used[TEST]).any()


def test_scene_of_one_block_cannot_be_split(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(200, 128))
    mask = write_raster(tmp_path / "m.tif", np.zeros((1, 200, 128), np.uint8))
    scene = raster_scene(path, mask=mask, split="blocks")
    with pytest.raises(InputError, match="a.tif: .* set split.block to 133 or less"):
        tile(scene, tmp_path / "a.zarr.zip")
    found = labels_and_parts(scene, tmp_path / "a.zarr.zip", split=SplitSettings(block=133))
    assert {TRAIN, TEST} <= {part for _, part in found.values()}


def test_folder_of_tiles(tmp_path):
    (tmp_path / "images").mkdir()
    for index, shape in enumerate([(40, 60), (300, 200)]):
        image = np.zeros((*shape, 3), np.uint8)
        image[..., 0] = 250  # red
        cv2.imwrite(str(tmp_path / "images" / f"t{index}.png"), image[..., ::-1])
    (tmp_path / "labels.csv").write_text("image,landslide\nt1.png,1\nt0.png,0\n")
    scene = Scene("a", "folder", tmp_path / "images", tmp_path / "labels.csv", None, "test")
    with tile(scene, tmp_path / "a.zarr.zip", TileSettings()) as stack:
        assert stack.attributes["names"] == ["t0.png", "t1.png"]
        assert stack.read("label").tolist() == [0, 1] and stack.read("part").tolist() == [TEST, TEST]
        assert stack.read("window").tolist() == [[0, 0, 40, 60], [0, 0, 300, 200]]
        assert stack.read("image").shape == (2, 3, 256, 256)
        assert (stack.read("image")[:, 0] == 250).all() and (stack.read("image")[:, 2] == 0).all()


def write_tiff(path, values):
    """(bands, height, width), as GDAL writes bands that nobody called red, green and blue."""
    profile = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", dtype=values.dtype, photometric="MINISBLACK", **profile) as raster:
        raster.write(values)


def test_tile_images_are_rgb_of_8_bit(tmp_path):
    values = np.random.default_rng(0).integers(1, 255, (4, 20, 30)).astype(np.uint8)
    for bands in (3, 4):
        write_tiff(tmp_path / "t.tif", values[:bands])
        assert np.array_equal(read_tile_image(tmp_path / "t.tif"), values[:3].transpose(1, 2, 0))
    write_tiff(tmp_path / "grey.TIF", values[:1])
    assert np.array_equal(read_tile_image(tmp_path / "grey.TIF"), np.dstack([values[0]] * 3))
    cv2.imwrite(str(tmp_path / "t.png"), values[[2, 1, 0]].transpose(1, 2, 0))
    assert np.array_equal(read_tile_image(tmp_path / "t.png"), values[:3].transpose(1, 2, 0))
    write_tiff(tmp_path / "five.tif", np.concatenate([values, values[:1]]))
    with pytest.raises(InputError, match="five.tif: has 5 bands, a ready-made tile has three"):
        read_tile_image(tmp_path / "five.tif")
    write_tiff(tmp_path / "deep.tif", values[:3].astype(np.uint16) * 20)
    cv2.imwrite(str(tmp_path / "deep.png"), values[:3].astype(np.uint16).transpose(1, 2, 0))
    write_tiff(tmp_path / "float.tif", values[:3].astype(np.float32))
    for name, kind in (("deep.tif", "uint16"), ("deep.png", "uint16"), ("float.tif", "float32")):
        with pytest.raises(InputError, match=f"{name}: is {kind}, .* must be 8 bit; .*gdal_translate -ot Byte -scale"):
            read_tile_image(tmp_path / name)


def test_tile_masks_of_any_depth_and_colour(tmp_path):
    mask = np.zeros((20, 30), np.uint8)
    mask[4:12, 5:21] = 1
    alpha = np.full_like(mask, 255)
    for value in (1, 7, 65535):
        cv2.imwrite(str(tmp_path / "m.png"), mask.astype(np.uint16) * value)
        assert np.array_equal(read_tile_mask(tmp_path / "m.png"), mask)
    cv2.imwrite(str(tmp_path / "blue.png"), np.dstack([mask, mask * 0, mask * 0, alpha]))
    assert np.array_equal(read_tile_mask(tmp_path / "blue.png"), mask)
    cv2.imwrite(str(tmp_path / "none.png"), np.dstack([mask * 0, mask * 0, mask * 0, alpha]))
    assert not read_tile_mask(tmp_path / "none.png").any()
    palette = Image.fromarray(mask, "P")
    palette.putpalette([0, 0, 0, 0, 0, 3] + [0] * 750)
    for name in ("palette.png", "palette.tif"):
        palette.save(tmp_path / name)
        assert np.array_equal(read_tile_mask(tmp_path / name), mask)
    for dtype in ("uint8", "uint16", "int16", "int32", "float32"):
        write_tiff(tmp_path / "m.tif", mask[None].astype(dtype))
        assert np.array_equal(read_tile_mask(tmp_path / "m.tif"), mask)
    cv2.imwrite(str(tmp_path / "m.jpg"), mask * 255, [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert (cv2.imread(str(tmp_path / "m.jpg"), cv2.IMREAD_GRAYSCALE) > 0).sum() > 1.2 * mask.sum()
    assert np.abs(read_tile_mask(tmp_path / "m.jpg").astype(int) - mask).sum() < 5
    cv2.imwrite(str(tmp_path / "dark.jpg"), mask)
    with pytest.raises(InputError, match="must be black and white, but its brightest pixel is"):
        read_tile_mask(tmp_path / "dark.jpg")


def test_masks_are_found_by_stem(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    blank = np.zeros((40, 60, 3), np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[:5] = 1
    for name, reference in (("A.JPG", "A.PNG"), ("b.png", "b.Tif"), ("c.jpeg", "c.jpeg")):
        cv2.imwrite(str(tmp_path / "images" / name), blank)
        cv2.imwrite(str(tmp_path / "masks" / reference), mask * (name != "b.png") * 255)
    scene = Scene("a", "folder", tmp_path / "images", None, tmp_path / "masks", "train")
    with tile(scene, tmp_path / "a.zarr.zip") as stack:
        assert stack.read("label").tolist() == [1, 0, 1]
    cv2.imwrite(str(tmp_path / "masks" / "b.Tif"), mask[:-1])
    with pytest.raises(InputError, match=r"b.Tif: is 60 x 39 px, its image 60 x 40"):
        tile(scene, tmp_path / "b.zarr.zip")
    (tmp_path / "masks" / "A.PNG").unlink()
    with pytest.raises(InputError, match=r"masks: has no mask for the tile A.JPG"):
        tile(scene, tmp_path / "b.zarr.zip")
    (tmp_path / "images" / "c.png").write_bytes((tmp_path / "images" / "b.png").read_bytes())
    with pytest.raises(InputError, match=r"has c.jpeg and c.png, .* masks into a folder of their own"):
        tile(scene, tmp_path / "b.zarr.zip")


def test_grid_lies_on_the_tiles_and_fits_the_label_table(tmp_path):
    path = write_raster(tmp_path / "a.tif", coordinates(128, 128))
    assert write_grid(path, SMALL, tmp_path / "grid.gpkg").tiles == 9
    grid = gpd.read_file(tmp_path / "grid.gpkg")
    row, col = 38, 64
    expected = box(*(TRANSFORM @ (col, row + 64)), *(TRANSFORM @ (col + 64, row)))
    assert grid[grid["tile"] == f"r{row}_c{col}"].geometry.iloc[0].equals(expected)
    write_grid(path, SMALL, tmp_path / "grid.csv")
    lines = (tmp_path / "grid.csv").read_text().splitlines()
    assert lines[0] == "scene,grid,tile,label" and len(lines) == 10
    before = (tmp_path / "grid.gpkg").read_bytes()
    with pytest.raises(InputError, match=r"grid.gpkg: already exists, and labels .* lost; .*--overwrite"):
        write_grid(path, SMALL, tmp_path / "grid.gpkg")
    assert (tmp_path / "grid.gpkg").read_bytes() == before
    assert write_grid(path, SMALL, tmp_path / "grid.gpkg", overwrite=True).tiles == 9
    with pytest.raises(InputError, match=r"grid.shp: a grid is written as .gpkg or .csv"):
        write_grid(path, SMALL, tmp_path / "grid.shp")
    (tmp_path / "grid.csv").write_text("\n".join([lines[0], *(f"{line}1" for line in lines[1:])]))
    with tile(raster_scene(path, labels=tmp_path / "grid.csv"), tmp_path / "t.zarr.zip") as stack:
        assert stack.read("label").all()
