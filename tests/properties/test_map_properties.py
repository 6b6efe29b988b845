"""Blending, storage and thresholds of maps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio.crs import CRS
from rasterio.transform import Affine

from apsam.maps.blend import RowBlender
from apsam.maps.cog import NO_DATA, apply_threshold, from_steps, to_steps
from apsam.tiles.resolution import ground_resolution_m
from apsam.tiles.windows import positions

PROBABILITIES = arrays.arrays(
    np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20),
    elements=st.one_of(st.floats(0, 1, width=32), st.just(float("nan"))),
)  # fmt: skip


@st.composite
def scenes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Height, width, side of the windows (at most the width), stride."""
    size = draw(st.integers(2, 24))
    return draw(st.integers(1, 90)), draw(st.integers(size, 90)), size, draw(st.integers(1, size))


def blended(height: int, width: int, size: int, stride: int, answer) -> np.ndarray:  # noqa: ANN001
    """Blend what `answer(row, col)` says of every window, (size, size)."""
    rows = positions(height, size, stride)
    blender, done = RowBlender(width, size), []
    for index, row in enumerate(rows):
        for col in positions(width, size, stride):
            blender.add(col, answer(row, col))
        following = rows[index + 1] if index + 1 < len(rows) else height
        done.append(blender.take(min(following - row, size))[: following - row])
    return np.concatenate(done)


@given(scenes(), st.integers(0, 2**32 - 1))
def test_blend_of_equal_windows_is_unchanged(scene: tuple[int, int, int, int], seed: int) -> None:
    height, width, size, stride = scene
    field = np.random.default_rng(seed).random((height + size, width)).astype(np.float32)
    whole = blended(*scene, lambda row, col: field[row : row + size, col : col + size])
    np.testing.assert_allclose(whole, field[:height], atol=1e-5)


@given(scenes(), st.integers(0, 2**32 - 1))
def test_blend_is_between_the_predictions(scene: tuple[int, int, int, int], seed: int) -> None:
    height, width, size, stride = scene
    rng = np.random.default_rng(seed)
    least, most = np.full((2, height + size, width), np.inf) * np.array([1, -1])[:, None, None]

    def answer(row: int, col: int) -> np.ndarray:
        values = rng.random((size, size)).astype(np.float32)
        place = (slice(row, row + size), slice(col, col + size))
        least[place], most[place] = np.minimum(least[place], values), np.maximum(most[place], values)
        return values

    whole = blended(*scene, answer)
    assert (whole >= least[:height] - 1e-5).all() and (whole <= most[:height] + 1e-5).all()


@given(PROBABILITIES)
def test_stored_probabilities_are_within_half_a_step(probability: np.ndarray) -> None:
    steps = to_steps(probability)
    assert ((steps == NO_DATA) == np.isnan(probability)).all()
    again = from_steps(steps)
    known = ~np.isnan(probability)
    assert (np.abs(again - probability)[known] <= 0.002 + 1e-6).all()
    assert (to_steps(again) == steps).all()


@given(PROBABILITIES, st.floats(0.001, 0.999))
def test_a_threshold_is_at_least(probability: np.ndarray, threshold: float) -> None:
    mask = apply_threshold(probability, threshold)
    assert set(np.unique(mask)) <= {0, 1, NO_DATA}
    for value, found in zip(probability.ravel(), mask.ravel(), strict=True):
        assert found == (NO_DATA if np.isnan(value) else int(value >= np.float32(threshold)))
    higher = apply_threshold(probability, min(threshold + 0.1, 1))
    assert ((higher == 1) <= (mask == 1)).all()


@given(st.floats(0.05, 100), st.floats(0, 2 * np.pi), st.sampled_from([32648, 32748, 32601]))
def test_ground_resolution_does_not_depend_on_orientation(step: float, angle: float, epsg: int) -> None:
    turned = Affine.translation(500000, 3000000) @ Affine.rotation(np.degrees(angle)) @ Affine.scale(step, -step)
    found = ground_resolution_m(CRS.from_epsg(epsg).to_wkt(), turned, 100, 100)
    assert abs(found / step - 1) < 2e-3
