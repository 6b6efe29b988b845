"""Arguments of the public functions that others than those meant would be: refused, or read as what they are."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_run import RESUNET, SIZE, make_tiny_run, picture, write_scene

import apsam
from apsam.config import Config
from apsam.errors import ConfigError, InputError

PROMPT = apsam.Prompt((12, 10, 40, 30), (25, 20))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_run(tmp_path_factory.mktemp("results") / "tiny")


@pytest.fixture(scope="module")
def model(run: Path) -> apsam.Model:
    return apsam.load(run, device="cpu")


@pytest.fixture
def tiles() -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 255, (4, SIZE, SIZE, 3)).astype(np.uint8)
    masks = np.zeros((4, SIZE, SIZE), np.uint8)
    masks[:2, 20:40, 10:50] = 1
    return images, masks


def test_masked_pixels_are_not_counted():
    """As `rasterio.open(...).read(1, masked=True)` returns them, whatever value lies below the mask."""
    mask = np.array([[1, 1, 0, 0]], np.uint8)
    for below in (0, 1, 255):
        reference = np.ma.masked_array([[1, below, 0, below]], [[0, 1, 0, 1]], np.uint8)
        assert apsam.evaluate(mask, reference) == apsam.Counts(1, 0, 0, 1)
        assert apsam.evaluate(reference, mask) == apsam.Counts(1, 0, 0, 1)
    hidden = np.ma.masked_array([[True, True, False, False]], [[0, 1, 0, 1]])
    assert apsam.evaluate(hidden, mask) == apsam.Counts(1, 0, 0, 1)


def test_masked_pixels_of_masks_in_a_list_are_not_counted():
    """As one reads a tile after the other; of a list, NumPy takes the values without the masks."""
    masks = [np.ma.masked_array([[1, 1, 0, 0]], [[0, 1, 0, 0]], np.uint8)] * 2
    for reference in (masks, tuple(masks), [mask.astype(bool) for mask in masks]):
        assert apsam.evaluate(masks, reference) == apsam.Counts(2, 0, 0, 4)
    with pytest.raises(InputError, match="images: has masked values"):
        apsam.train_localizer([np.ma.masked_equal(np.zeros((SIZE, SIZE, 3), np.uint8), 0)] * 2, [0, 1], "a.safetensors")


def test_a_mask_of_0_and_255_causes_a_warning(recwarn: pytest.WarningsRecorder):
    mask = np.array([[1, 0]], np.uint8)
    with pytest.warns(UserWarning, match="reference: has 255, which is no data, .* divide it by 255"):
        apsam.evaluate(mask, mask * 255)
    recwarn.clear()
    for reference in (mask, mask * 0, np.ma.masked_equal(mask * 255, 255), np.array([[1, 255]])):
        apsam.evaluate(mask, reference)
    apsam.evaluate([mask], [np.ma.masked_equal(mask * 255, 255)])
    assert not recwarn.list


@pytest.mark.parametrize("shape", [(0, 64), (64, 0), (0, 0)])
def test_a_cam_without_pixels_is_refused(shape: tuple[int, int]):
    code = f"import numpy, apsam; apsam.generate_prompts(numpy.zeros({shape}, numpy.uint8))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "InputError: cam: needs (h, w) uint8" in done.stderr


def test_masked_pixels_of_a_cam_are_below_every_threshold():
    cam = np.zeros((64, 64), np.uint8)
    cam[10:20, 30:50] = 200
    hidden = np.ma.masked_array(cam, np.arange(64)[None].repeat(64, 0) < 40)
    [prompt] = apsam.generate_prompts(hidden)
    assert prompt.box == (40, 10, 50, 20) and prompt.mean_cam == 200


@pytest.mark.parametrize("threshold", ["auto", "120", None, float("nan"), 255])
def test_another_threshold_is_refused(threshold: object):
    with pytest.raises(InputError, match="threshold: needs a grey value"):
        apsam.generate_prompts(np.zeros((8, 8), np.uint8), threshold)


def test_images_that_cannot_be_cut_are_refused():
    with pytest.raises(InputError, match=r"move the bands: image.transpose\(1, 2, 0\)"):
        apsam.cut_tiles(np.zeros((3, 300, 400), np.uint8))
    with pytest.raises(InputError, match=r"image: needs \(H, W\)"):
        apsam.cut_tiles(np.zeros((0, 400), np.uint8))
    with pytest.raises(InputError, match="image: has masked values"):
        apsam.cut_tiles(np.ma.masked_equal(np.eye(300), 1))
    with pytest.raises(InputError, match="need a positive size"):
        apsam.cut_tiles(np.zeros((300, 400)), 256.0)


def test_tiles_of_another_image_or_size_are_not_blended():
    tiles, windows = apsam.cut_tiles(np.ones((300, 400)))
    for shape in ((400, 300), (200, 400), (300, 399)):
        with pytest.raises(InputError, match="windows: reach beyond the image"):
            apsam.blend_tiles(tiles, windows, shape)
    for wrong in (tiles[:, :1], tiles[:, :128, :128], np.ones(len(tiles)), np.pad(tiles, ((0, 0), (0, 9), (0, 9)))):
        with pytest.raises(InputError, match="tiles: need one of the windows' size"):
            apsam.blend_tiles(wrong, windows, (300, 400))


def test_masked_pixels_of_an_image_are_no_data(model: apsam.Model):
    for side in (SIZE, 120):
        image = picture(side, side)
        hidden = np.zeros((side, side, 3), bool)
        hidden[:, side // 2 :] = True
        cam = model.cam(np.ma.masked_array(image, hidden))
        assert not cam[:, side // 2 :].any() and cam[:, : side // 2].max() == 255
        np.testing.assert_array_equal(model.cam(np.ma.masked_array(image, False)), model.cam(image))


def test_a_cam_that_is_no_cam_is_refused(model: apsam.Model):
    """Shares would be cut to 0 as grey values."""
    image = picture(100, 100)
    masks = model.config.masks.model_copy(update={"cam_mask": True})
    with_cam = replace(model, config=model.config.model_copy(update={"masks": masks}))
    for one in (model, with_cam):
        for cam in (np.full((100, 100), 0.5), np.zeros((50, 100), np.uint8)):
            with pytest.raises(InputError, match=r"cam: needs \(H, W\) uint8 of shape \(100, 100\)"):
                one.segment(image, [PROMPT], cam=cam)


def test_prompts_of_another_form_are_refused(model: apsam.Model):
    for label in (-1, 2):
        with pytest.raises(InputError, match="point_label .* must be 1"):
            model.segment(picture(SIZE, SIZE), [replace(PROMPT, point_label=label)])
    with pytest.raises(InputError, match="needs a box x0, y0, x1, y1"):
        model.segment(picture(SIZE, SIZE), [replace(PROMPT, box=(12, 10, 40))])


def test_sam_sees_the_point_of_a_prompt_outside_its_box(model: apsam.Model, monkeypatch: pytest.MonkeyPatch):
    from apsam.api import segment

    asked = []
    decode = segment.decode_prompt_sets
    monkeypatch.setattr(
        segment, "decode_prompt_sets", lambda sam, images, tiles, *rest: asked.append((tiles, rest[0].shape))
        or decode(sam, images, tiles, *rest),
    )  # fmt: skip
    far = replace(PROMPT, point=(150.0, 120.0), point_label=0)
    assert model.segment(picture(200, 260), [far]).shape == (200, 260)
    [([tile], (_, height, width))] = asked
    x, y = tile.sets[0].prompts[0].point
    assert 0 <= x < width and 0 <= y < height


def test_masks_of_0_and_255_train_no_network(tiles: tuple[np.ndarray, np.ndarray], tmp_path: Path):
    images, masks = tiles
    config = Config(resunet=RESUNET)
    for wrong in (masks * 255, masks * 0, np.ma.masked_equal(masks, 1)):
        with pytest.raises(InputError, match="masks: no pixel is 1, landslide"):
            apsam.train_resunet(images, wrong, tmp_path / "w.safetensors", config=config)
    with pytest.raises(InputError, match="images: has masked values"):
        apsam.train_resunet(np.ma.masked_greater(images, 200), masks, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="at least two tiles, there are 1"):
        apsam.train_resunet(images[:1], masks[:1], tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"labels: need images .* none is 0"):
        apsam.train_localizer(images, [1, 1, 1, 1], tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="labels: has masked values"):
        apsam.train_localizer(images, np.ma.masked_equal([1, 0, 1, 0], 1), tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["w.json", "w.pt", "w"])
def test_weights_are_not_replaced_by_their_losses(name: str, tiles: tuple[np.ndarray, np.ndarray], tmp_path: Path):
    images, masks = tiles
    with pytest.raises(InputError, match="name the weights .safetensors"):
        apsam.train_resunet(images, masks, tmp_path / name)
    with pytest.raises(InputError, match="name the weights .safetensors"):
        apsam.train_localizer(images, masks.any(axis=(1, 2)), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_masks_without_a_run_or_its_network_are_refused(run: Path):
    assert apsam.load(run, masks="apsam").mapping
    with pytest.raises(InputError, match="resunet/self_training/weights.safetensors: missing"):
        apsam.load(run, masks="self_training")
    weights = run / "resunet/apsam/weights.safetensors"
    with pytest.raises(ConfigError, match="masks='cam' selects a ResUNet of a run"):
        apsam.load(weights, masks="cam")
    with pytest.raises(ConfigError, match="leave it out with --weights"):
        apsam.load(run, resunet=weights, masks="apsam")


def test_weights_that_are_nan_are_refused(run: Path, tmp_path: Path):
    """Otherwise the CAM would be empty and the map without data, both without a message."""
    for name in ("localizer", "resunet/apsam"):
        with safe_open(run / name / "weights.safetensors", "pt") as file:
            metadata, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        key = next(key for key in state if state[key].is_floating_point())
        state[key] = state[key] * float("nan")
        save_file(state, tmp_path / "w.safetensors", metadata)
        broken = apsam.load(tmp_path / "w.safetensors", device="cpu")
        scene = write_scene(tmp_path / "scene.tif", picture(90, 100))
        with pytest.raises(InputError, match=r"w.safetensors: has weights that are NaN or infinite"):
            broken.cam(picture(SIZE, SIZE)) if name == "localizer" else broken.predict(scene, tmp_path / "out")
