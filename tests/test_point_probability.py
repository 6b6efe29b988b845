"""Points with sizes: the probability of a landslide around them, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import torch
from ground_scenes import TILES, make_scene, read_grid, write_grid
from pyproj import CRS
from rasterio.transform import Affine
from rasters import TRANSFORM
from shapely import MultiPoint, Point, box
from torch.nn import functional

from apsam.errors import InputError
from apsam.geodesy import Geodesy
from apsam.ground.labels import (
    ALL_LABELS,
    CERTAIN,
    PROBABILITY,
    TRAINING_LABELS,
    make_ground_labels,
)
from apsam.ground.points import DISTANCES, PointProbability, set_covariance
from apsam.ground.raster import Grid, GridReader
from apsam.heatmaps.area import threshold_by_area
from apsam.heatmaps.calibrate import calibrate, read_decision, write_decision
from apsam.heatmaps.logits import NO_DATA, STEP
from apsam.resunet.crops import SceneCrops, TrainingScene
from apsam.resunet.train import segmentation_loss
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.tiles.parts import TEST, TRAIN
from apsam.tiles.settings import LabelSettings, SplitSettings
from apsam.tiles.tiling import tile_scene

LENGTHS = LabelSettings(size_column="len", length_to_width=2)


def at(row: float, col: float) -> Point:
    return Point(TRANSFORM @ (col, row))


def scene_with_points(
    folder: Path,
    *shapes: Point | MultiPoint,
    sizes: list[float],
    split: str = "train",
    settings: LabelSettings = LENGTHS,
) -> tuple[Path, Path, list[Path]]:
    """A scene of 300 x 300 px (150 m) whose tiles are labelled by points: image, layer, tile stacks."""
    image, _, _ = make_scene(folder, 300, 300)
    layer = folder / "points.gpkg"
    gpd.GeoDataFrame({"len": sizes}, geometry=list(shapes), crs="EPSG:32648").to_file(layer)
    tiles = folder / f"{split}.zarr.zip"
    tile_scene(Scene("valley", "raster", image, layer, None, split), TILES, settings, SplitSettings(block=100), tiles)
    return image, layer, [tiles]


@pytest.mark.parametrize("ratio", [1.0, 2.0, 4.0])
def test_the_probability_around_a_point_adds_up_to_the_landslide(ratio: float) -> None:
    table = set_covariance(ratio)
    assert table[0] == pytest.approx(1) and table[-1] == pytest.approx(0, abs=1e-6)
    assert (np.diff(table) < 0).all()
    # The integral of a set covariance over the plane is the square of the area, here divided by the area.
    area = np.trapezoid(2 * np.pi * DISTANCES * table, DISTANCES)
    assert area == pytest.approx(np.pi / 4 / ratio, rel=0.01)


def test_the_probability_is_that_of_random_ellipses() -> None:
    rng = np.random.default_rng(3)
    inside = rng.uniform(-1, 1, (40_000, 2))
    inside = inside[(inside**2).sum(axis=1) < 1] * [0.5, 0.25]
    angle = rng.uniform(0, 2 * np.pi, len(inside))
    for index in (10, 25, 60):
        moved = inside + DISTANCES[index] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        share = (((moved / [0.5, 0.25]) ** 2).sum(axis=1) < 1).mean()
        assert set_covariance(2.0)[index] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32648", TRANSFORM),
        ("EPSG:32648", Affine.translation(500_000, 3_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)),
        ("EPSG:4326", Affine(5e-6, 0, 100, 0, -5e-6, 30)),
    ],
)
def test_areas_are_metres_in_any_grid(crs: str, transform: Affine) -> None:
    grid = Grid("valley", 300, 400, CRS(crs).to_wkt(), transform)
    x, y = transform @ (180.3, 140.8)
    geodesy = Geodesy(CRS(crs), (x - 1e-3, y - 1e-3, x + 1e-3, y + 1e-3))
    whole = PointProbability(grid, np.array([(x, y)]), np.array([50.0]), 2.0, geodesy).rows(0, 300)
    corners = [transform @ corner for corner in ((0, 0), (400, 0), (400, 300), (0, 300))]
    pixel = geodesy.area(type(box(0, 0, 1, 1))(corners)) / whole.size
    assert whole.sum() * pixel == pytest.approx(np.pi / 8 * 50**2, rel=0.01)


@pytest.mark.parametrize("crs", ["EPSG:32648", "EPSG:4326"])
def test_no_pixel_within_the_length_is_left_out(crs: str) -> None:
    metre = 1 if crs == "EPSG:32648" else 1e-5
    transform = Affine.translation(100, 60) @ Affine.rotation(45) @ Affine.shear(20) @ Affine.scale(metre)
    grid, (x, y) = Grid("valley", 300, 400, CRS(crs).to_wkt(), transform), transform @ (180.3, 140.8)
    geodesy = Geodesy(CRS(crs), (x - 1e-3, y - 1e-3, x + 1e-3, y + 1e-3))
    found = PointProbability(grid, np.array([(x, y)]), np.array([60.0]), 2.0, geodesy).rows(0, 300)
    east, north = transform @ tuple(np.meshgrid(np.arange(400) + 0.5, np.arange(300) + 0.5))
    distance = np.hypot((east - x) * geodesy.metres_east, (north - y) * geodesy.metres_per_unit)
    expected = np.interp(distance / 60, DISTANCES, set_covariance(2.0), right=0)
    assert found == pytest.approx(expected, abs=1e-5)


def test_landslides_near_each_other_are_independent() -> None:
    grid = Grid("valley", 300, 400, CRS("EPSG:32648").to_wkt(), TRANSFORM)
    geodesy = Geodesy(CRS("EPSG:32648"), (499_000, 2_999_000, 501_000, 3_001_000))
    points = np.array([TRANSFORM @ (100, 100), TRANSFORM @ (150, 120)])
    one, other = (PointProbability(grid, points[[i]], np.array([80.0]), 2.0, geodesy).rows(0, 300) for i in (0, 1))
    both = PointProbability(grid, points, np.array([80.0, 80.0]), 2.0, geodesy)
    assert both.rows(0, 300) == pytest.approx(1 - (1 - one) * (1 - other), abs=1e-6)
    assert np.array_equal(np.concatenate([both.rows(0, 90), both.rows(90, 210)]), both.rows(0, 300))
    assert not PointProbability(grid, np.empty((0, 2)), np.empty(0), 2.0, geodesy).rows(0, 300).any()


def test_ground_beyond_the_length_is_free(tmp_path: Path) -> None:
    _, layer, tiles = scene_with_points(tmp_path, at(100, 120), sizes=[60.0])
    make_ground_labels(tiles, tmp_path / "labels.tif", layer=layer)
    everyone, trained, probability = (
        read_grid(tmp_path / "labels.tif", band) for band in (ALL_LABELS, TRAINING_LABELS, PROBABILITY)
    )
    rows, columns = np.mgrid[:300, :300] + 0.5
    distance = np.hypot(rows - 100, columns - 120) / 2  # pixels of half a metre
    assert (everyone[:, -10:] == 255).all() and (probability[:, -10:] == 255).all(), "no data is not known"
    seen = np.s_[:, :-10]
    assert (everyone[seen][distance[seen] < 59.5] == 1).all() and (everyone[seen][distance[seen] >= 60] == 0).all()
    assert np.array_equal(trained, everyone)
    expected = np.interp(distance / 60, DISTANCES, set_covariance(2.0), right=0) * CERTAIN
    assert np.abs(probability[seen] - expected[seen]).max() < 1


@pytest.mark.parametrize("case", ["test scene", "two parts", "shared ground"])
def test_held_out_ground_trains_nothing_by_its_points(tmp_path: Path, case: str) -> None:
    split = {"test scene": "test", "two parts": "blocks"}.get(case, "train")
    image, layer, tiles = scene_with_points(tmp_path, at(100, 120), sizes=[12.0], split=split)
    if case == "shared ground":
        other, _, _ = make_scene(tmp_path, 100, 100, name="ridge")
        row = Scene("valley", "raster", image, layer, None, split)
        tile_scene(row, TILES, LENGTHS, SplitSettings(), tiles[0], held_out=[other])
    make_ground_labels(tiles, tmp_path / "labels.tif", layer=layer)
    with TileStack(tiles[0]) as stack:
        windows, held_out = stack.read("window"), (stack.read("part") == TEST) | (stack.read("shared") > 0)
    assert held_out.any() and (case == "test scene" or not held_out.all())
    covered = np.zeros((300, 300), bool)
    for row, col, height, width in windows[held_out]:
        covered[row : row + height, col : col + width] = True
    assert set(np.unique(read_grid(tmp_path / "labels.tif", ALL_LABELS))) == {0, 1, 255}
    for band in (TRAINING_LABELS, PROBABILITY):
        values = read_grid(tmp_path / "labels.tif", band)
        assert (values[covered] == 255).all()
        assert case == "test scene" or (values[~covered] != 255).any()
    if case != "test scene":
        off = write_grid(tmp_path / "off.tif", tiles[0], np.where(covered, 0, 1).astype(np.uint8))
        crops = SceneCrops([TrainingScene(image, tiles[0], off)], 1)
        clear = [bool((crops[number][1] != 0).all()) for number in range(4 * len(crops))]
        crops.close()
        # A training tile that overlaps a tile with shared ground is its own crop where no other is clear.
        assert np.mean(clear) == 1 if case == "two parts" else np.mean(clear) > 0.9


@pytest.mark.parametrize("case", ["no size", "polygon", "labels of tiles"])
def test_other_labels_give_the_map_of_tiles(tmp_path: Path, case: str) -> None:
    shapes, sizes = [at(100, 120), at(220, 60)], [60.0, 40.0]
    if case == "no size":
        sizes[1] = 0.0
    if case == "polygon":
        shapes[1] = at(220, 60).buffer(10)
    _, layer, tiles = scene_with_points(tmp_path, *shapes, sizes=sizes)
    if case == "labels of tiles":
        layer = tmp_path / "labels.csv"
        layer.write_text("tile,label\nr0_c0,1\n")
    make_ground_labels(tiles, tmp_path / "labels.tif", layer=layer)
    make_ground_labels(tiles, tmp_path / "of_tiles.tif")
    assert (tmp_path / "labels.tif").read_bytes() == (tmp_path / "of_tiles.tif").read_bytes()


def test_networks_learn_probabilities_where_a_scene_has_them(tmp_path: Path) -> None:
    (tmp_path / "points").mkdir()
    image, layer, [tiles] = scene_with_points(tmp_path / "points", at(100, 120), sizes=[60.0])
    labels = tmp_path / "labels.tif"
    make_ground_labels([tiles], labels, layer=layer)
    other, [other_tiles], mask = make_scene(tmp_path, 300, 300, name="ridge")
    reference = write_grid(tmp_path / "mask.tif", other_tiles, mask)
    crops = SceneCrops(
        [TrainingScene(image, tiles, labels, PROBABILITY), TrainingScene(other, other_tiles, reference)], 1
    )
    assert crops.certain == CERTAIN
    values = [crops[number][1] for number in range(len(crops))]
    crops.close()
    ours, theirs = torch.stack(values[: len(values) // 2]), torch.stack(values[len(values) // 2 :])
    assert len(torch.unique(ours)) > 50
    assert set(torch.unique(theirs).tolist()) <= {0, CERTAIN, 255} and (theirs == CERTAIN).any()


def test_crops_lie_between_labelled_tiles_too(tmp_path: Path) -> None:
    image, layer, [tiles] = scene_with_points(tmp_path, at(100, 120), sizes=[60.0])
    make_ground_labels([tiles], tmp_path / "labels.tif", layer=layer)
    counts = []
    for band in (TRAINING_LABELS, PROBABILITY):
        crops = SceneCrops([TrainingScene(image, tiles, tmp_path / "labels.tif", band)], 1)
        counts.append(len(crops))
        crops.close()
    assert counts[0] < counts[1]


def test_the_loss_of_probabilities_is_their_cross_entropy() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 8, 8)
    mask = torch.randint(0, CERTAIN + 1, (2, 8, 8), dtype=torch.uint8)
    mask[0, :2] = 255
    known = mask != 255
    expected = functional.binary_cross_entropy_with_logits(logits[:, 0][known], mask[known] / CERTAIN)
    assert segmentation_loss(logits, mask, "bce", CERTAIN) == pytest.approx(float(expected), rel=1e-5)


def test_the_threshold_gives_the_expected_area(tmp_path: Path) -> None:
    _, layer, tiles = scene_with_points(tmp_path, at(100, 120), sizes=[60.0])
    labels = tmp_path / "labels.tif"
    make_ground_labels(tiles, labels, layer=layer)
    # A heat map that falls from the point on, and is high where no landslide is possible.
    rows, columns = np.mgrid[:300, :300]
    distance = np.hypot(rows - 100, columns - 120) / 2
    steps = np.where(distance < 60, -distance * 10, 900).round().astype(np.int16)
    steps[:, -10:] = NO_DATA
    logits = write_grid(tmp_path / "logits.tif", tiles[0], steps, NO_DATA)
    threshold = threshold_by_area(tiles, [logits], [labels])
    radius = np.sqrt(np.pi / 8 * 60**2 / np.pi)
    assert threshold == pytest.approx(-radius * 10 * STEP, rel=0.015)
    decision = calibrate(tiles, [logits], 0.005, labels_of_ground=[labels])
    assert (decision.threshold, decision.chosen_by) == (threshold, "area")
    make_ground_labels(tiles, labels)
    assert threshold_by_area(tiles, [logits], [labels]) is None
    assert calibrate(tiles, [logits], 0.005, labels_of_ground=[labels]).chosen_by == "labels"


def test_the_expected_area_needs_no_negative_tile(tmp_path: Path) -> None:
    _, layer, tiles = scene_with_points(tmp_path, at(100, 120), sizes=[300.0])
    with TileStack(tiles[0]) as stack:
        assert not (stack.read("label")[stack.read("part") == TRAIN] == 0).any()
    labels = tmp_path / "labels.tif"
    make_ground_labels(tiles, labels, layer=layer)
    logits = write_grid(tmp_path / "logits.tif", tiles[0], np.tile(np.arange(300, dtype=np.int16), (300, 1)), NO_DATA)
    decision = calibrate(tiles, [logits], 0.005, labels_of_ground=[labels])
    write_decision(decision, tmp_path / "threshold.json", {})
    assert read_decision(tmp_path / "threshold.json") == threshold_by_area(tiles, [logits], [labels])
    assert (decision.chosen_by, decision.balanced_accuracy, decision.negative) == ("area", None, 0)
    with pytest.raises(InputError, match="0 negative training tiles"):
        calibrate(tiles, [logits], 0.005)


def test_a_multipoint_has_no_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, (shape, bands) in enumerate(((at(100, 120), 3), (MultiPoint([at(100, 120), at(140, 120)]), 2))):
        (tmp_path / str(number)).mkdir()
        _, layer, [tiles] = scene_with_points(tmp_path / str(number), shape, sizes=[60.0])
        caplog.clear()
        make_ground_labels([tiles], tmp_path / "labels.tif", layer=layer)
        with GridReader(tmp_path / "labels.tif") as labels:
            assert labels.count == bands
        assert ("1 of 1 features near the scene 'valley' are not single points" in caplog.text) == (bands == 2)
