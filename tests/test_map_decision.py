"""The threshold with the highest expected F1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from ground_scenes import make_scene, read_grid, write_grid
from test_metrics_checks import write_map

from apsam.errors import InputError
from apsam.resunet.decision import expected_f1_threshold, map_histogram, write_mask


def f1(guess: np.ndarray, reference: np.ndarray) -> float:
    return 2 * (guess & reference).sum() / (guess.sum() + reference.sum())


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_it_is_the_best_threshold_of_calibrated_probabilities(power: float) -> None:
    rng = np.random.default_rng(1)
    steps = np.rint(rng.random(400_000) ** power * 250).astype(int)
    reference = rng.random(len(steps)) < steps / 250
    threshold = expected_f1_threshold(np.bincount(steps, minlength=251))
    best = max(f1(steps >= level, reference) for level in range(1, 251))
    assert f1(steps >= threshold * 250 - 1e-9, reference) > best - 0.002
    assert threshold == pytest.approx(best / 2, abs=0.01), "half of the F1 that can be reached"


def test_threshold_of_a_certain_map_and_of_an_empty_one() -> None:
    sure = np.zeros(251)
    sure[[0, 250]] = 900, 100
    assert 0 < expected_f1_threshold(sure) <= 1
    empty = np.zeros(251)
    empty[0] = 100
    assert expected_f1_threshold(empty) == 0.5


def test_masks_are_thresholded_maps(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path)
    probability = np.where(mask == 1, 0.4, 0.1)
    probability[:, -10:] = np.nan
    path = write_map(tmp_path / "p.tif", tiles[0], probability)
    counts = map_histogram(path)
    assert counts.sum() == 300 * 190 and counts[100] == (mask[:, :-10] == 1).sum()
    threshold = expected_f1_threshold(counts)
    assert 0.1 < threshold <= 0.4
    write_mask(path, threshold, tmp_path / "m.tif")
    found = read_grid(tmp_path / "m.tif")
    assert np.array_equal(found[:, :-10], mask[:, :-10]) and (found[:, -10:] == 255).all()
    with rasterio.open(tmp_path / "m.tif") as raster:
        assert float(raster.tags()["APSAM_THRESHOLD"]) == pytest.approx(threshold)
    with pytest.raises(InputError, match="not a map of probabilities"):
        map_histogram(write_grid(tmp_path / "other.tif", tiles[0], mask))
