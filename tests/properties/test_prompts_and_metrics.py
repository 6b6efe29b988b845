"""Prompts are inside their regions; counts add up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from apsam.errors import InputError
from apsam.metrics.counts import Counts
from apsam.metrics.pseudo_masks import as_released
from apsam.metrics.tally import Tally, rows
from apsam.prompts.files import ScenePrompts, check_tile_order
from apsam.prompts.generate import TilePrompts, binarize, generate_prompts
from apsam.prompts.settings import PromptSettings

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=24)
# Few values, so that regions of several pixels with holes and islands come about.
CAMS = arrays.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 60, 119, 120, 121, 200, 255]))
PAIRS = SHAPES.flatmap(
    lambda shape: st.tuples(*[arrays.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 255]))] * 2)
)


@given(CAMS, st.integers(0, 254))
def test_every_region_has_one_box_and_one_point_inside(cam: np.ndarray, threshold: int) -> None:
    binary = binarize(cam, threshold)
    count, regions = cv2.connectedComponents(binary, connectivity=8)
    prompts = generate_prompts(cam, threshold)
    assert len(prompts) == count - 1
    found = set()
    for prompt in prompts:
        x, y = (int(np.floor(value + 0.5)) for value in prompt.point)
        region = regions[y, x]
        assert region > 0, "the point lies on the landslide"
        rows_, cols = np.nonzero(regions == region)
        assert prompt.box == (cols.min(), rows_.min(), cols.max() + 1, rows_.max() + 1)
        assert prompt.area == len(rows_)
        assert prompt.mean_cam == pytest.approx(cam[regions == region].mean(), abs=0.006)
        assert prompt.mean_cam > threshold
        assert all(regions[b, a] == region for a, b in prompt.contour)
        found.add(region)
    assert found == set(range(1, count))


@given(CAMS, st.integers(0, 254), st.integers(0, 40), st.integers(0, 6))
def test_least_sizes_only_leave_out(cam: np.ndarray, threshold: int, area: int, side: int) -> None:
    every = generate_prompts(cam, threshold)
    kept = generate_prompts(cam, threshold, PromptSettings(min_area=area, min_side=side))
    large = [p for p in every if p.area >= area and min(p.box[2] - p.box[0], p.box[3] - p.box[1]) >= side]
    assert kept == large


@given(CAMS, st.integers(0, 253))
def test_higher_threshold_adds_no_pixels(cam: np.ndarray, threshold: int) -> None:
    assert (binarize(cam, threshold + 1) <= binarize(cam, threshold)).all()


@given(st.lists(st.integers(0, 30), max_size=8))
def test_tile_numbers_of_a_prompt_file(numbers: list[int]) -> None:
    content = ScenePrompts("a", {}, tuple(TilePrompts(number) for number in numbers))
    if all(a < b for a, b in zip(numbers, numbers[1:], strict=False)):
        check_tile_order(content, "p.json", 31)
    else:
        with pytest.raises(InputError, match="list each tile once, by rising number"):
            check_tile_order(content, "p.json", 31)


@given(PAIRS)
def test_counts_are_those_of_single_pixels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    guess, reference = pair
    counts = Counts.of(guess, reference)
    values = list(zip(guess.ravel().tolist(), reference.ravel().tolist(), strict=True))
    assert (counts.tp, counts.fp, counts.fn, counts.tn) == tuple(
        values.count(kind) for kind in ((1, 1), (1, 0), (0, 1), (0, 0))
    )
    turned = Counts.of(reference, guess)
    assert (turned.tp, turned.fp, turned.fn, turned.tn) == (counts.tp, counts.fn, counts.fp, counts.tn)
    assert turned.iou == counts.iou and turned.f1 == counts.f1


@given(PAIRS)
def test_figures_are_shares_or_undefined(pair: tuple[np.ndarray, np.ndarray]) -> None:
    counts = Counts.of(*pair)
    figures = counts.figures()
    for name in ("oa", "precision", "recall", "f1", "iou"):
        assert figures[name] is None or 0 <= figures[name] <= 1
    if counts.iou is not None:
        assert counts.f1 == pytest.approx(2 * counts.iou / (1 + counts.iou))
    assert counts.kappa is None or -1 - 1e-9 <= counts.kappa <= 1 + 1e-9
    assert (figures["iou"] == 1) == (counts.fp + counts.fn == 0 and counts.tp > 0)


@given(PAIRS, st.integers(0, 24))
def test_counts_of_parts_add_up(pair: tuple[np.ndarray, np.ndarray], at: int) -> None:
    guess, reference = pair
    assert Counts.of(guess[:at], reference[:at]) + Counts.of(guess[at:], reference[at:]) == Counts.of(guess, reference)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["train", "test"]), PAIRS), max_size=6))
def test_pooled_rows_are_the_sums_of_scenes(entries: list) -> None:
    tallies: dict = {}
    for number, (source, part, pair) in enumerate(entries):
        tallies.setdefault((source, part, f"scene{number % 3}"), Tally()).add_tile(*pair)
    made = rows(tallies)
    pooled = [row for row in made if "scene" not in row]
    for row in pooled:
        own = [r for r in made if "scene" in r and (r["source"], r["part"]) == (row["source"], row["part"])]
        for name in ("tp", "fp", "fn", "tn", "tiles", "tiles_with_landslide"):
            assert row[name] == sum(r[name] for r in own)
    assert len(made) == len(pooled) + len(tallies)


@given(PAIRS.map(lambda pair: pair[0]), st.integers(0, 2**31))
def test_pixels_of_several_prompts_do_not_count(mask: np.ndarray, seed: int) -> None:
    overlap_count = np.random.default_rng(seed).integers(0, 300, mask.shape).astype(np.uint32)
    made = as_released(mask, overlap_count)
    assert (made[overlap_count > 1] == 255).all() and (made[overlap_count <= 1] == mask[overlap_count <= 1]).all()
