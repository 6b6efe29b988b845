"""Landslides found, missed and false; regions of masks that are read in bands."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from ground_scenes import make_scene, relabel, write_grid
from rasterio.crs import CRS
from rasterio.transform import from_origin

from apsam.errors import InputError
from apsam.metrics import objects
from apsam.metrics.objects import area_frequency, measure_objects, pixel_area_m2
from apsam.metrics.regions import Overlaps, Regions
from apsam.metrics.scene import MeasuredScene
from apsam.report.tables import objects_table, size_class_table
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.tiles.resolution import PixelGrid


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
@pytest.mark.parametrize("share", [0.2, 0.42, 0.6])
def test_regions_do_not_depend_on_the_bands(rows: int, share: float) -> None:
    rng = np.random.default_rng(int(share * 100))
    one, other = rng.random((2, 64, 50)) < share
    regions, others, overlaps = Regions(), Regions(), Overlaps()
    numbers = []
    for top in range(0, 64, rows):
        band = slice(top, top + rows)
        numbers.append(regions.add(one[band]))
        overlaps.add(numbers[-1], others.add(other[band]))
    count, whole = cv2.connectedComponents(one.astype(np.uint8), connectivity=8)
    joined = regions.roots()[np.concatenate(numbers)]
    pairs = set(zip(whole.ravel().tolist(), joined.ravel().tolist(), strict=True))
    assert len(pairs) == count == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert sorted(regions.areas().values()) == sorted(np.bincount(whole.ravel())[1:].tolist())
    shared = {root: int((other & (joined == root)).sum()) for root in regions.areas()}
    assert overlaps.shared(regions, 0) == {root: pixels for root, pixels in shared.items() if pixels}


def scene_with(folder: Path, mask: np.ndarray, split: str = "test") -> MeasuredScene:
    image, tiles, _ = make_scene(folder, *mask.shape, split)
    reference = write_grid(folder / "reference.tif", tiles[0], mask)
    return MeasuredScene(Scene("valley", "raster", image, None, reference, split), tiles[0])


def test_found_partly_found_missed_and_false(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "ROWS_AT_ONCE", 16)
    reference, guess = np.zeros((2, 200, 160), np.uint8)
    reference[10:30, 10:30] = 1  # 400 px, 100 m2: half of it is found
    guess[10:30, 10:20] = 1
    reference[60:80, 10:30] = 1  # a quarter of it is found
    guess[60:80, 10:15] = 1
    reference[120:130, 10:20] = 1  # missed, 25 m2
    guess[100:160, 60:120] = 1  # false, 900 m2
    guess[10:12, 100:102] = 1  # 1 m2: below the smallest area
    measured = scene_with(tmp_path, reference)
    found = write_grid(tmp_path / "map.tif", measured.tiles, guess)
    rows = measure_objects([measured], {"apsam": [found]}, min_area_m2=2)["rows"]
    assert len(rows) == 1
    row = rows[0]
    assert (row["source"], row["part"], row["scene"]) == ("apsam", "test", "valley")
    assert {key: row[key] for key in ("reference", "found", "partly", "missed", "mapped", "false")} == {
        "reference": 3, "found": 1, "partly": 1, "missed": 1, "mapped": 3, "false": 1,
    }  # fmt: skip
    assert row["reference_m2"] == 225 and row["mapped_m2"] == 975
    assert row["area_error"] == round(975 / 225 - 1, 4)
    classes = {entry["least_m2"]: entry for entry in row["classes"]}
    assert (classes[0]["reference"], classes[0]["missed"]) == (1, 1)
    assert (classes[100]["reference"], classes[100]["mapped"], classes[100]["false"]) == (2, 1, 1)
    for key in ("reference", "found", "partly", "missed", "mapped", "false"):
        assert sum(entry[key] for entry in row["classes"]) == row[key]


def test_unknown_pixels_are_ignored(tmp_path: Path) -> None:
    reference = np.full((200, 160), 255, np.uint8)
    reference[:100] = 0
    reference[10:30, 10:30] = 1
    guess = np.zeros_like(reference)
    guess[10:30, 10:30] = 1
    guess[120:150, 10:40] = 1
    measured = scene_with(tmp_path, reference)
    found = write_grid(tmp_path / "map.tif", measured.tiles, guess)
    row = measure_objects([measured], {"apsam": [found]})["rows"][0]
    assert (row["reference"], row["found"], row["mapped"], row["false"]) == (1, 1, 1, 0)
    assert row["area_error"] == 0


def test_landslides_are_cut_where_tiles_are_not_labelled_and_the_report_says_so(tmp_path: Path) -> None:
    reference = np.zeros((200, 160), np.uint8)
    reference[90:110, 20:120] = 1
    measured = scene_with(tmp_path, reference)
    found = write_grid(tmp_path / "map.tif", measured.tiles, reference)
    whole = measure_objects([measured], {"apsam": [found]})
    assert (whole["rows"][0]["reference"], whole["rows"][0]["reference_m2"]) == (1, 500)
    assert whole["rows"][0]["measured_share"] == 1 and "cut" not in objects_table(whole).caption
    with TileStack(measured.tiles) as stack:
        windows = stack.read("window")
    # A strip without a labelled tile crosses the landslide.
    strip = {index: 255 for index, (_, col, _, width) in enumerate(windows.tolist()) if col < 80 < col + width}
    relabel(measured.tiles, part=strip)
    kept = np.zeros(reference.shape, bool)
    for index, (row, col, height, width) in enumerate(windows.tolist()):
        kept[row : row + height, col : col + width] |= index not in strip
    pieces = cv2.connectedComponents((reference & kept).astype(np.uint8))[0] - 1
    row = measure_objects([measured], {"apsam": [found]})["rows"][0]
    assert pieces == 2 and row["reference"] == row["mapped"] == row["found"] == pieces
    assert row["reference_m2"] == (reference & kept).sum() / 4
    assert row["measured_share"] == pytest.approx(kept.mean(), abs=1e-4)
    caption = objects_table({"protocol": "held_out", "min_area_m2": 0, "rows": [row]}).caption
    assert f"Of valley (held out, {int(100 * kept.mean())} %) only labelled tiles" in caption
    assert "cut at the border" in size_class_table({"rows": [row]}).caption


def test_a_map_of_another_size_is_refused(tmp_path: Path) -> None:
    measured = scene_with(tmp_path, np.zeros((200, 160), np.uint8))
    (tmp_path / "b").mkdir()
    _, other, _ = make_scene(tmp_path / "b", 100, 100)
    wrong = write_grid(tmp_path / "map.tif", other[0], np.zeros((100, 100), np.uint8))
    with pytest.raises(InputError, match="not a map of a scene of 160 x 200"):
        measure_objects([measured], {"apsam": [wrong]})


def test_area_of_a_pixel() -> None:
    utm = PixelGrid(10, 10, from_origin(500000, 3000000, 0.5, 0.5))
    assert pixel_area_m2(CRS.from_epsg(32648), utm) == pytest.approx(0.25)
    # A metre of Web Mercator is half a metre at 60 degrees north.
    mercator = PixelGrid(10, 10, from_origin(1_000_000, 8_399_738, 1, 1))
    assert pixel_area_m2(CRS.from_epsg(3857), mercator) == pytest.approx(0.251, abs=0.002)
    degrees = PixelGrid(10, 10, from_origin(100, 30, 1e-5, 1e-5))
    # 1e-5 degrees at 30 degrees north: 0.9649 m to the east, 1.1085 m to the north.
    assert pixel_area_m2(CRS.from_epsg(4326), degrees) == pytest.approx(0.9649 * 1.1085, rel=2e-3)


def test_area_frequency_counts_what_is_at_least_as_large() -> None:
    curve = area_frequency([100, 1000, 1000], [3])
    limits = [10 ** (power / 4) for power in range(1, 13)]
    assert curve["least_m2"] == pytest.approx(limits, rel=1e-2)
    assert curve["reference"] == [3] * 8 + [2] * 4
    assert curve["mapped"] == [1] + [0] * 11
    assert area_frequency([], []) == {"least_m2": [], "reference": [], "mapped": []}
