"""The threshold with the highest expected F1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from ground_scenes import make_scene, read_grid, write_grid
from test_metrics_checks import write_map

from apsam.errors import InputError
from apsam.maps.decision import decide, low_f1_warning, map_histogram, write_decided_mask, write_mask


def f1(guess: np.ndarray, reference: np.ndarray) -> float:
    return 2 * (guess & reference).sum() / (guess.sum() + reference.sum())


def best_f1(steps: np.ndarray, reference: np.ndarray) -> float:
    return max(f1(steps >= level, reference) for level in range(1, 251))


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_it_is_the_best_threshold_of_calibrated_probabilities(power: float) -> None:
    rng = np.random.default_rng(1)
    steps = np.rint(rng.random(400_000) ** power * 250).astype(int)
    reference = rng.random(len(steps)) < steps / 250
    decision = decide(np.bincount(steps, minlength=251))
    threshold = decision.threshold
    assert decision.expected_f1 == pytest.approx(best_f1(steps, reference), abs=0.01)
    best = best_f1(steps, reference)
    assert f1(steps >= threshold * 250 - 1e-9, reference) > best - 0.002
    assert threshold == pytest.approx(best / 2, abs=0.01), "half of the F1 that can be reached"


def test_threshold_of_a_certain_map_and_of_an_empty_one() -> None:
    sure = np.zeros(251)
    sure[[0, 250]] = 900, 100
    assert decide(sure).threshold == 0.5 and decide(sure).expected_f1 == 1
    empty = np.zeros(251)
    empty[0] = 100
    assert decide(empty).threshold == 0.5 and low_f1_warning(decide(empty).expected_f1) is None


@pytest.mark.parametrize("seed", range(20))
def test_the_mask_is_that_of_the_lowest_best_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    histogram = np.where(rng.random(251) < rng.choice([0.02, 0.2, 1]), rng.integers(0, 1000, 251), 0)
    histogram[[0, rng.integers(1, 251)]] += 1000
    p = np.arange(251) / 250
    expected = [2 * (histogram * p)[t:].sum() / (histogram[t:].sum() + (histogram * p).sum()) for t in range(1, 251)]
    lowest = int(np.argmax(np.array(expected) > max(expected) - 1e-12)) + 1
    step = round(decide(histogram).threshold * 250)
    assert step >= lowest and not histogram[lowest:step].any()
    above = step + histogram[step:].nonzero()[0][0]
    assert abs((step - lowest) - (above - step)) <= 1, "the middle of the thresholds that give this mask"


def test_ground_without_landslides_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, tiles, mask = make_scene(tmp_path)
    noise = np.random.default_rng(0).lognormal(np.log(0.004), 1, mask.shape).clip(0, 1)
    write_decided_mask(write_map(tmp_path / "noise.tif", tiles[0], noise), tmp_path / "noise_mask.tif")
    assert "probably no landslide to find" in caplog.text
    caplog.clear()
    unsure = np.where(mask == 1, 0.4, noise)
    write_decided_mask(write_map(tmp_path / "unsure.tif", tiles[0], unsure), tmp_path / "unsure_mask.tif")
    assert not caplog.text


def test_masks_are_thresholded_maps(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path)
    probability = np.where(mask == 1, 0.4, 0.1)
    probability[:, -10:] = np.nan
    path = write_map(tmp_path / "p.tif", tiles[0], probability)
    counts = map_histogram(path)
    assert counts.sum() == 300 * 190 and counts[100] == (mask[:, :-10] == 1).sum()
    threshold = decide(counts).threshold
    assert 0.1 < threshold <= 0.4
    write_mask(path, threshold, tmp_path / "m.tif")
    found = read_grid(tmp_path / "m.tif")
    assert np.array_equal(found[:, :-10], mask[:, :-10]) and (found[:, -10:] == 255).all()
    with rasterio.open(tmp_path / "m.tif") as raster:
        assert float(raster.tags()["APSAM_THRESHOLD"]) == pytest.approx(threshold)
    with pytest.raises(InputError, match="not a map of probabilities"):
        map_histogram(write_grid(tmp_path / "other.tif", tiles[0], mask))
