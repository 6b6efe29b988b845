"""Pseudo-masks: thresholds, GrabCut, the gate on negatives, no data, mixed-up runs."""

from __future__ import annotations

import numpy as np
import pytest

from apsam.errors import InputError
from apsam.masks.grabcut import grabcut, make_grabcut_masks
from apsam.masks.settings import CamMaskSettings, GrabCutSettings
from apsam.masks.thresholded import make_cam_masks, threshold_cam
from apsam.prompts.files import make_prompts
from apsam.prompts.generate import Prompt
from apsam.prompts.settings import PromptSettings
from apsam.stack import TileStack, TileStackWriter

SIZE = 96
INSIDE = (slice(30, 60), slice(40, 70))


@pytest.fixture
def run(tmp_path):
    """Two tiles with the same bright square; the second is labelled negative, so that its CAM is empty."""
    rng = np.random.default_rng(0)
    image = rng.integers(30, 60, (2, 3, SIZE, SIZE)).astype(np.uint8)
    image[:, :, INSIDE[0], INSIDE[1]] += 150
    valid = np.ones((2, SIZE, SIZE), np.uint8)
    valid[:, :5] = 0
    cam = np.zeros((2, SIZE, SIZE), np.uint8)
    cam[0, 24:66, 34:76] = 100
    cam[0, 28:62, 38:72] = 220
    specs = {"image": ((3, SIZE, SIZE), "uint8"), "valid": ((SIZE, SIZE), "uint8")}
    with TileStackWriter(tmp_path / "t.zarr.zip", {"scene": "a", "tile_size": SIZE}, specs) as writer:
        writer.append(image=image, valid=valid)
    with TileStackWriter(tmp_path / "c.zarr.zip", {"scene": "a"}, {"cam": ((SIZE, SIZE), "uint8")}) as writer:
        writer.append(cam=cam)
    return tmp_path


def reference():
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[INSIDE] = 1
    return mask


def test_otsu_separates_two_levels():
    cam = np.zeros((10, 10), np.uint8)
    cam[:5] = 90
    cam[:2] = 240
    mask = threshold_cam(cam, CamMaskSettings(threshold="otsu"))
    assert mask[:2].all() and not mask[5:].any()
    assert not threshold_cam(np.zeros((4, 4), np.uint8), CamMaskSettings(threshold="otsu")).any()


def test_fixed_threshold_must_be_exceeded():
    cam = np.array([[120, 121]], np.uint8)
    assert threshold_cam(cam, CamMaskSettings(threshold=120)).tolist() == [[0, 1]]


def test_cam_masks(run):
    make_cam_masks(run / "t.zarr.zip", run / "c.zarr.zip", CamMaskSettings(threshold=120), run / "m.zarr.zip")
    with TileStack(run / "m.zarr.zip") as stack:
        masks = stack.read("mask")
        assert stack.attributes["source"] == "cam"
    assert (masks[:, :5] == 255).all(), "not valid is no data"
    assert (masks[0] == 1).sum() == 34 * 34
    assert not (masks[1] == 1).any(), "a negative tile has an empty mask"


def test_grabcut_finds_the_square_within_a_box_too_big(run):
    make_prompts(run / "c.zarr.zip", PromptSettings(threshold=80), run / "p.json")
    make_grabcut_masks(run / "t.zarr.zip", run / "p.json", GrabCutSettings(), run / "m.zarr.zip")
    with TileStack(run / "m.zarr.zip") as stack:
        masks = stack.read("mask")
    found, wanted = masks[0] == 1, reference() == 1
    assert (found & wanted).sum() / (found | wanted).sum() > 0.95
    assert not (masks[1] == 1).any()


def test_grabcut_with_a_box_over_the_whole_tile_returns_the_box():
    prompt = Prompt((0, 0, 8, 8), (4, 4))
    assert grabcut(np.zeros((3, 8, 8), np.uint8), prompt, GrabCutSettings()).all()


def test_stacks_of_other_tiles_are_refused(run):
    with TileStackWriter(run / "other.zarr.zip", {"scene": "b"}, {"cam": ((SIZE, SIZE), "uint8")}) as writer:
        writer.append(cam=np.zeros((2, SIZE, SIZE), np.uint8))
    with pytest.raises(InputError, match="come from different runs"):
        make_cam_masks(run / "t.zarr.zip", run / "other.zarr.zip", CamMaskSettings(), run / "m.zarr.zip")
    assert not (run / "m.zarr.zip").exists()


def test_grabcut_takes_boxes_between_pixels():
    """In prompts that were edited by hand; the box is enlarged to whole pixels."""
    image = np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype(np.uint8)
    between, whole = (Prompt(box, (20, 20)) for box in ((10.5, 10, 39.5, 40), (10, 10, 40, 40)))
    np.testing.assert_array_equal(grabcut(image, between, GrabCutSettings()), grabcut(image, whole, GrabCutSettings()))
