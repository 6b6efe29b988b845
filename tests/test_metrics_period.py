"""Maps that repeat at the tile step are recognised; natural ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ground_scenes import write_raster
from scipy.ndimage import gaussian_filter

from apsam.metrics.period import SUSPICIOUS, period_ratio

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
    assert 0.7 < period_ratio(path, STEP) < SUSPICIOUS


@pytest.mark.parametrize("seed", range(3))
def test_dots_at_the_tile_step_are_found(tmp_path: Path, seed: int) -> None:
    values = np.clip(natural(seed) + 25 * dots(), 0, 250).astype(np.uint8)
    values[:, 400:] = 255  # no data
    path = write_raster(tmp_path / "map.tif", values[None], nodata=255)
    assert period_ratio(path, STEP) > SUSPICIOUS
    assert period_ratio(path, STEP * 1.9) < SUSPICIOUS


def test_a_map_of_a_few_tiles_cannot_tell(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.ones((1, 100, 100), np.uint8), nodata=255)
    assert period_ratio(path, STEP) is None
