"""The equations of the adaptive prompt generation against hand-made heatmaps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from apsam.errors import InputError
from apsam.files import write_json
from apsam.prompts.files import make_prompts, read_prompts, write_prompts
from apsam.prompts.generate import binarize, generate_prompts
from apsam.prompts.settings import PromptSettings
from apsam.stack import TileStackWriter


def heatmap(*regions: tuple[slice, slice], value: int = 200, size: int = 64) -> np.ndarray:
    cam = np.zeros((size, size), np.uint8)
    for region in regions:
        cam[region] = value
    return cam


def test_threshold_must_be_exceeded_not_reached():
    cam = np.array([[119, 120, 121]], np.uint8)
    assert binarize(cam, 120).tolist() == [[0, 0, 1]]


def test_rectangle_gives_its_box_and_centroid():
    (prompt,) = generate_prompts(heatmap((slice(10, 20), slice(30, 50))), 120)
    assert prompt.box == (30, 10, 50, 20)
    assert prompt.point == (39.5, 14.5)
    assert prompt.point_source == "centroid"
    assert prompt.area == 200
    assert prompt.mean_cam == 200
    assert {tuple(p) for p in prompt.contour} == {(30, 10), (49, 10), (49, 19), (30, 19)}


def test_one_pixel_is_a_region():
    (prompt,) = generate_prompts(heatmap((slice(5, 6), slice(7, 8))), 120)
    assert prompt.box == (7, 5, 8, 6) and prompt.point == (7, 5) and prompt.area == 1


def test_every_region_gives_one_box_and_one_point():
    cam = heatmap((slice(2, 8), slice(2, 8)), (slice(30, 40), slice(2, 9)), (slice(50, 60), slice(40, 60)))
    prompts = generate_prompts(cam, 120)
    assert [p.box for p in prompts] == [(2, 2, 8, 8), (2, 30, 9, 40), (40, 50, 60, 60)]


def test_centroid_of_a_u_shape_falls_outside_and_is_replaced():
    cam = heatmap((slice(10, 50), slice(10, 16)), (slice(10, 50), slice(44, 50)), (slice(44, 50), slice(10, 50)))
    (prompt,) = generate_prompts(cam, 120)
    x, y = (int(v) for v in prompt.point)
    assert prompt.point_source == "interior"
    assert cam[y, x] == 200


def test_hole_belongs_to_no_region_and_island_is_its_own():
    cam = heatmap((slice(10, 50), slice(10, 50)))
    cam[20:40, 20:40] = 0
    cam[28:32, 28:32] = 180
    island, ring = sorted(generate_prompts(cam, 120), key=lambda p: p.area)
    assert ring.box == (10, 10, 50, 50) and ring.area == 40 * 40 - 20 * 20
    assert ring.point_source == "interior" and cam[int(ring.point[1]), int(ring.point[0])] == 200
    assert ring.mean_cam == 200
    assert island.box == (28, 28, 32, 32) and island.mean_cam == 180


def test_region_at_the_border_keeps_its_full_box():
    (prompt,) = generate_prompts(heatmap((slice(0, 64), slice(60, 64))), 120)
    assert prompt.box == (60, 0, 64, 64)


def test_diagonal_neighbours_are_one_region():
    cam = heatmap((slice(5, 10), slice(5, 10)), (slice(10, 15), slice(10, 15)))
    assert len(generate_prompts(cam, 120)) == 1


def test_empty_heatmap_gives_no_prompts():
    assert generate_prompts(heatmap(), 120) == []
    assert generate_prompts(heatmap((slice(0, 9), slice(0, 9)), value=120), 120) == []


def test_smallest_area():
    cam = heatmap((slice(0, 3), slice(0, 3)), (slice(20, 30), slice(20, 30)))
    assert len(generate_prompts(cam, 120, PromptSettings(min_area=9))) == 2
    assert len(generate_prompts(cam, 120, PromptSettings(min_area=10))) == 1


@pytest.mark.parametrize("threshold", [-1, 255])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"within 0\.\.254"):
        PromptSettings(threshold=threshold)


def test_file_lists_sets_and_leaves_out_negative_tiles(tmp_path):
    cams = np.stack([heatmap(), heatmap((slice(10, 20), slice(30, 50)), value=150)])
    with TileStackWriter(tmp_path / "a.zarr.zip", {"scene": "a"}, {"cam": ((64, 64), "uint8")}) as writer:
        writer.append(cam=cams)
    settings = PromptSettings(threshold="auto", candidates=(140, 60, 160))
    make_prompts(tmp_path / "a.zarr.zip", settings, tmp_path / "a.json")
    prompts = read_prompts(tmp_path / "a.json")
    assert [entry.tile for entry in prompts.tiles] == [1]
    sets = prompts.tiles[0].sets
    assert [(s.threshold, len(s.prompts)) for s in sets] == [(60, 1), (140, 1), (160, 0)]


def test_the_released_code_measures_polygons():
    cam = heatmap((slice(10, 25), slice(10, 25)))
    assert len(generate_prompts(cam, 120, PromptSettings(min_area=200))) == 1, "225 pixels"
    assert generate_prompts(cam, 120, PromptSettings(min_area=200, area="polygon")) == [], "14 x 14 = 196"
    assert len(generate_prompts(cam, 120, PromptSettings(min_area=196, area="polygon"))) == 1


def test_narrow_regions_can_be_left_out():
    cam = heatmap((slice(10, 40), slice(10, 14)), (slice(10, 40), slice(30, 35)))
    (prompt,) = generate_prompts(cam, 120, PromptSettings(min_side=5))
    assert prompt.box == (30, 10, 35, 40)


def test_the_released_code_puts_the_point_where_the_centroid_is():
    cam = heatmap((slice(10, 50), slice(10, 16)), (slice(10, 50), slice(44, 50)), (slice(44, 50), slice(10, 50)))
    (prompt,) = generate_prompts(cam, 120, PromptSettings(point="centroid"))
    x, y = (round(v) for v in prompt.point)
    assert prompt.point_source == "centroid" and cam[y, x] == 0
    (inside,) = generate_prompts(cam, 120)
    assert inside.box == prompt.box and cam[int(inside.point[1]), int(inside.point[0])] == 200


def test_a_region_whose_polygon_has_no_area_keeps_a_point():
    (prompt,) = generate_prompts(heatmap((slice(5, 6), slice(7, 12))), 120, PromptSettings(point="centroid"))
    assert prompt.point == (9, 5)


def test_the_released_code_sees_no_island_in_a_hole():
    cam = heatmap((slice(10, 50), slice(10, 50)))
    cam[20:40, 20:40] = 0
    cam[28:32, 28:32] = 180
    (ring,) = generate_prompts(cam, 120, PromptSettings(contours="external"))
    assert ring.box == (10, 10, 50, 50)


def test_prompt_file_round_trip(tmp_path):
    cam = heatmap((slice(10, 20), slice(30, 50)), (slice(40, 50), slice(5, 9)))
    with TileStackWriter(tmp_path / "a.zarr.zip", {"scene": "a"}, {"cam": ((64, 64), "uint8")}) as writer:
        writer.append(cam=cam[None])
    make_prompts(tmp_path / "a.zarr.zip", PromptSettings(), tmp_path / "a.json")
    prompts = read_prompts(tmp_path / "a.json")
    assert list(prompts.tiles[0].sets[0].prompts) == generate_prompts(cam, 120)
    write_prompts(prompts, tmp_path / "b.json")
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_invalid_prompt_entry_is_named(tmp_path):
    sets = [{"threshold": 120, "prompts": [{"point": [1, 2]}]}]
    content = {"schema": 1, "scene": "a", "settings": {}, "tiles": [{"tile": 0, "sets": sets}]}
    write_json(tmp_path / "a.json", content)
    with pytest.raises(InputError, match=r"a\.json: contains an entry that is not a prompt .*box"):
        read_prompts(tmp_path / "a.json")


@pytest.mark.parametrize(
    "edit",
    [
        {"box": [1, 2, 3]},
        {"box": [9, 2, 3, 4]},
        {"box": [-1, 2, 3, 4]},
        {"box": ["1", "2", "3", "4"]},
        {"box": [1, 2, 3, float("inf")]},
        {"point": [1, 2, 3]},
        {"point": [1, float("nan")]},
        {"point_label": 2},
        {"contour": [[1]]},
    ],
)
def test_a_prompt_edited_by_hand_is_checked(edit, tmp_path):
    prompt = {"box": [1, 2, 30, 40], "point": [10, 20]} | edit
    entry = {"tile": 0, "sets": [{"threshold": 120, "prompts": [prompt]}]}
    content = {"schema": 1, "scene": "a", "settings": {}, "tiles": [entry]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"a\.json: contains an entry that is not a prompt"):
        read_prompts(tmp_path / "a.json")


@pytest.mark.parametrize(("cam", "threshold"), [(np.zeros((8, 8)), 120), (np.zeros((1, 8, 8), np.uint8), 120),
                                                (np.zeros((8, 8), np.uint8), 255)])  # fmt: skip
def test_invalid_cam_or_threshold_is_refused(cam, threshold):
    with pytest.raises(InputError, match="needs"):
        generate_prompts(cam, threshold)
