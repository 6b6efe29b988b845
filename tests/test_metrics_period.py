"""Maps that repeat at the tile stride are detected; natural ones are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from rasters import write_raster
from scipy.ndimage import gaussian_filter

from apsam.metrics.period import period_of

STEP = 38


def natural(seed: int, height: int = 700, width: int = 600, blur: float = 12) -> np.ndarray:
    """Blobs without a period, about as wide as a tile step, 0..250."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), blur)
    return np.clip(noise / noise.std() * 50 + 100, 0, 250)


def dots(height: int = 700, width: int = 600, phase: int = 7) -> np.ndarray:
    """High in the middle of every tile: -1..1 along both axes."""
    wave = [np.cos(2 * np.pi * (np.arange(length) - phase) / STEP) for length in (height, width)]
    return np.add.outer(*wave) / 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("blur", [5, 12])
def test_a_natural_map_has_no_period(tmp_path: Path, seed: int, blur: float) -> None:
    path = write_raster(tmp_path / "map.tif", natural(seed, blur=blur).astype(np.uint8)[None], nodata=255)
    assert not period_of(path, STEP).repeats


def elongated(seed: int, length: float, angle: float, side: int = 760) -> np.ndarray:
    """Thirty ellipses in one direction, five times as long as wide, at random places, 0 or 250."""
    rng = np.random.default_rng(seed)
    values = np.zeros((side, side), np.uint8)
    for row, col in rng.integers(0, side, (30, 2)).tolist():
        own = length * np.exp(0.4 * rng.normal())
        axes = (max(2, round(own / 2)), max(2, round(own / 10)))
        cv2.ellipse(values, (col, row), axes, angle + 5 * rng.normal(), 0, 360, 250, -1)
    return values


@pytest.mark.parametrize("angle", [0, 45, 90])
def test_landslides_in_one_direction_have_no_period(tmp_path: Path, angle: float) -> None:
    maps = [elongated(seed, 1.6 * STEP, angle) for seed in range(40)]
    found = [period_of(write_raster(tmp_path / "map.tif", one[None], nodata=255), STEP) for one in maps]
    assert sum(period.repeats for period in found) == 0


def test_dots_over_landslides_in_one_direction_are_found(tmp_path: Path) -> None:
    for seed in range(5):
        values = np.clip(elongated(seed, 1.6 * STEP, 0, 700)[:, :600] / 2 + 60 + 60 * dots(), 0, 250)
        path = write_raster(tmp_path / "map.tif", values.astype(np.uint8)[None], nodata=255)
        assert period_of(path, STEP).repeats


def test_p_values_of_maps_without_a_period_are_those_of_chance(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(128, 30, size=(200, 300, 260)).clip(0, 250).astype(np.uint8)
    found = [period_of(write_raster(tmp_path / "map.tif", one[None], nodata=255), STEP).p_value for one in noise]
    # Binomial with n = 200: 20 % is 40 +- 5.7, 5 % is 10 +- 3.1.
    assert 23 <= np.sum(np.array(found) < 0.2) <= 57
    assert 1 <= np.sum(np.array(found) < 0.05) <= 20


@pytest.mark.parametrize("seed", range(3))
def test_dots_at_the_tile_step_are_found(tmp_path: Path, seed: int) -> None:
    values = np.clip(natural(seed) + 25 * dots(), 0, 250).astype(np.uint8)
    values[:, 400:] = 255  # no data
    path = write_raster(tmp_path / "map.tif", values[None], nodata=255)
    assert period_of(path, STEP).repeats
    assert not period_of(path, STEP * 1.9).repeats


def test_share_of_the_variance_is_that_of_the_sine(tmp_path: Path) -> None:
    noise = np.random.default_rng(4).normal(size=(12, 12)).repeat(60, 0).repeat(60, 1)  # nothing at the step
    values = 120 + 10 * noise + 20 * np.cos(2 * np.pi * np.arange(720) / STEP)
    path = write_raster(tmp_path / "map.tif", np.rint(values).clip(0, 250).astype(np.uint8)[None], nodata=255)
    # Means over blocks of 4 of the 38 pixels of a period lose 4 % of a sine's power.
    assert period_of(path, STEP).share == pytest.approx(200 / (200 + 100 * noise.var()), rel=0.15)


def test_period_of_a_small_or_constant_map_is_unknown(tmp_path: Path) -> None:
    small = np.random.default_rng(0).integers(0, 250, (1, 100, 100)).astype(np.uint8)
    assert period_of(write_raster(tmp_path / "small.tif", small), STEP) is None
    flat = np.ones((1, 500, 500), np.uint8)
    assert period_of(write_raster(tmp_path / "flat.tif", flat), STEP) is None
    nothing = np.full((1, 500, 500), 255, np.uint8)
    assert period_of(write_raster(tmp_path / "nothing.tif", nothing, nodata=255), STEP) is None
