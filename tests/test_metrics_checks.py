"""Checks of maps by labels alone, and the warnings they give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ground_scenes import make_scene
from rasterio.crs import CRS
from rasterio.transform import Affine

from apsam.errors import InputError
from apsam.ground.raster import Grid
from apsam.maps.cog import MapWriter, to_steps
from apsam.maps.decision import decide, map_histogram
from apsam.metrics.checks import MapCheck, check_map, check_maps, warnings_of
from apsam.metrics.period import Period

GOOD = MapCheck("valley", "test", 60, 70, 0.9, 0.91, 0.54, 0.95, 0.1, Period(1.05, 0.4, 0.004))


def write_map(path: Path, tiles: Path, probability: np.ndarray) -> Path:
    grid = Grid.of_tiles(tiles)
    place = (grid.height, grid.width, CRS.from_wkt(grid.crs), Affine(*grid.transform[:6]))
    with MapWriter(path, "probability", *place, {}) as writer:
        writer.write(0, to_steps(probability))
    return path


def test_a_right_map_agrees_with_the_labels_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path, 300, 300, "test")
    right = write_map(tmp_path / "right.tif", tiles[0], mask * 0.9 + 0.05)
    check = check_map(tiles[0], right, 0.5)[0]
    assert (check.balanced_accuracy, check.auc, check.accuracy, check.near) == (1, 1, 1, 0)
    assert check.part == "test" and check.positive + check.negative == 64
    assert check.majority == round(max(check.positive, check.negative) / 64, 4)
    wrong = write_map(tmp_path / "wrong.tif", tiles[0], 1 - mask[::-1, ::-1] * 0.9 - 0.05)
    check = check_map(tiles[0], wrong, 0.5)[0]
    assert check.balanced_accuracy <= 0.5 and "do not use it" in warnings_of(check)[0]


@pytest.mark.parametrize("certain", [True, False])
def test_a_certain_map_is_not_near_its_threshold(tmp_path: Path, certain: bool) -> None:
    _, tiles, mask = make_scene(tmp_path, 300, 300, "test")
    uncertain = np.random.default_rng(0).uniform(0.05, 0.3, mask.shape)
    path = write_map(tmp_path / "map.tif", tiles[0], np.where(mask == 1, 0.96 if certain else uncertain, 0))
    threshold = decide(map_histogram(path)).threshold
    result = check_maps(tiles, [path], [threshold])
    row = result["rows"][0]
    assert row["margin"] == pytest.approx(min(0.1, threshold / 2), abs=1e-4) and row["near"] == 0
    assert not any("of its threshold" in text for text in result["warnings"])
    assert row["expected_f1"] > 0.9 if certain else row["expected_f1"] < 0.5


def test_a_map_without_landslides_is_warned_of(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path, 300, 300, "test")
    noise = np.random.default_rng(0).lognormal(np.log(0.004), 1, mask.shape).clip(0, 1)
    path = write_map(tmp_path / "noise.tif", tiles[0], noise)
    decided = check_maps(tiles, [path], [decide(map_histogram(path)).threshold])
    assert any("probably no landslide to find" in text for text in decided["warnings"])
    fixed = check_maps(tiles, [path], [0.5])
    assert fixed["rows"][0]["expected_f1"] is None
    assert not any("to find" in text for text in fixed["warnings"])


def test_a_map_of_tiles_of_one_label_is_warned_of_if_it_is_wrong() -> None:
    one_label = replace(GOOD, positive=0, negative=58, balanced_accuracy=None, auc=None, majority=1.0)
    [text, few] = warnings_of(replace(one_label, accuracy=0.1))
    assert text == (
        "valley: the map is correct in 10% of the 58 test tiles, all of which are labelled negative: do not use it"
    )
    assert "only 0 positive and 58 negative" in few
    assert len(warnings_of(replace(one_label, accuracy=0.9))) == 1
    assert len(warnings_of(replace(one_label, negative=3, accuracy=0.0))) == 1, "too few to say that"


def test_a_map_of_the_labels_grid_repeats_at_its_step(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path, 600, 600, "test")
    wave = np.cos(2 * np.pi * np.arange(600) / 38)
    dotted = write_map(tmp_path / "dotted.tif", tiles[0], 0.5 + 0.2 * np.add.outer(wave, wave))
    result = check_maps(tiles, [dotted], [0.5])
    assert result["rows"][0]["period"]["ratio"] > 3
    assert any("repeats at the step" in text for text in result["warnings"])


def test_a_map_of_another_scene_is_refused(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    _, other, mask = make_scene(tmp_path, 200, 100, name="ridge")
    with pytest.raises(InputError, match="not a map of the scene 'valley'"):
        check_map(tiles[0], write_map(tmp_path / "m.tif", other[0], mask * 1.0), 0.5)


def test_warnings_are_raised() -> None:
    assert warnings_of(GOOD) == []
    for change, words in (
        ({"balanced_accuracy": 0.6}, "do not use it"),
        ({"auc": 0.66}, "do not use it"),
        ({"accuracy": 0.5}, "the more frequent label alone"),
        ({"positive": 4}, "only 4 positive and 70 negative test tiles"),
        ({"near": 0.4}, "in 40% of the test tiles"),
        ({"period": Period(2.6, 1e-5, 0.03)}, "repeats at the step"),
    ):
        texts = warnings_of(replace(GOOD, **change))
        assert len(texts) == 1 and words in texts[0]
    for period in (Period(1.8, 0.01, 0.03), Period(2.6, 1e-5, 0.002), None):  # chance; a trace; too small to tell
        assert warnings_of(replace(GOOD, period=period)) == []
    alone = replace(GOOD, negative=0, balanced_accuracy=None, auc=None)
    assert ["too few" in text for text in warnings_of(alone)] == [True]
