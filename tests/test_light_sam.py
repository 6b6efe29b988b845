"""The light SAM: its interface, its weights file, the CAM as mask prompt."""

from pathlib import Path

import numpy as np
import pytest
import torch

from apsam.errors import ApsamError, InputError
from apsam.sam.cam_prompt import LOGIT_RANGE, cam_to_mask_prompt
from apsam.sam.light import LIGHT_WEIGHTS, build_light_sam, light_state_dict, load_light_weights
from apsam.sam.training.loop import save_weights

from segment_anything import SamPredictor  # isort: skip  (after apsam, whose guard lets it import torchvision)


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_light_sam(None)


def test_sam_predictor_works_unchanged(sam):
    predictor = SamPredictor(sam)
    image = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    predictor.set_image(image)
    assert predictor.get_image_embedding().shape == (1, 384, 32, 32)
    masks, iou, low = predictor.predict(np.array([[50, 60]]), np.array([1]), np.array([20, 30, 90, 100]))
    assert masks.shape == (3, 120, 200) and masks.dtype == bool
    assert iou.shape == (3,) and low.shape == (3, 128, 128)
    masks, _, _ = predictor.predict(np.array([[50, 60]]), np.array([1]), mask_input=low[:1], multimask_output=False)
    assert masks.shape == (1, 120, 200)


def test_backbone_is_frozen_and_stays_out_of_the_weights(sam):
    sam.train()
    assert not any(p.requires_grad for p in sam.image_encoder.backbone.parameters())
    assert not any(m.training for m in sam.image_encoder.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d))
    sam.eval()
    assert not any("backbone" in key for key in light_state_dict(sam))
    assert all(p.requires_grad for key, p in sam.named_parameters() if "backbone" not in key)


def test_fine_detail_reaches_the_masks(sam):
    """The detail in the embedding moves a mask at its position, by 4 x 4 pixels of an embedding pixel."""
    sparse, dense = sam.prompt_encoder((torch.full((1, 1, 2), 100.0), torch.ones(1, 1)), None, None)
    with torch.no_grad():
        images = torch.zeros(2, 384, 32, 32)
        images[1, 128:144, 7, 9] = torch.arange(16.0)  # first channel of detail, its 16 pixels
        masks = [
            sam.mask_decoder(image[None], sam.prompt_encoder.get_dense_pe(), sparse, dense, False)[0]
            for image in images
        ]
    moved = (masks[0] - masks[1])[0, 0].abs() > 0
    assert moved[28:32, 36:40].sum() >= 15 and moved.sum() <= 16


def test_one_bright_pixel_shows_in_embedding_and_detail(sam):
    """Moved by 4 px within one embedding cell of 16 px it must change both there."""
    images = torch.zeros(2, 3, 512, 512)
    images[0, :, 258:261, 258:261] = 2.0
    images[1, :, 258:261, 264:267] = 2.0
    with torch.no_grad():
        first, second = sam.image_encoder(images)
    difference = (first - second)[:, 16, 16].abs()
    assert difference[:128].max() > 1e-2 and difference[128:].max() > 1e-2


def test_weights_go_through_the_file_unchanged_but_for_rounding(sam, tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    save_weights(light_state_dict(sam), path, "{}")
    again = build_light_sam(path)
    assert not again.training
    for key, value in light_state_dict(sam).items():
        assert torch.equal(light_state_dict(again)[key], value.half().float()), key


def test_other_weights_are_refused(sam, tmp_path: Path):
    with pytest.raises(ApsamError, match="absent"):
        build_light_sam(tmp_path / "absent.safetensors")
    state = light_state_dict(sam)
    state.pop("mask_decoder.iou_token.weight")
    with pytest.raises(InputError, match="1 tensors missing"):
        load_light_weights(sam, state, "somewhere")
    state = light_state_dict(sam) | {"mask_decoder.iou_token.weight": torch.zeros(1, 64)}
    with pytest.raises(InputError, match="1 of another shape"):
        load_light_weights(sam, state, "somewhere")


def test_packaged_weights_are_small_and_decode_prompts():
    """A bright disc on a plain ground: every kind of prompt must find it."""
    assert LIGHT_WEIGHTS.stat().st_size < 12e6
    predictor = SamPredictor(build_light_sam())
    y, x = np.mgrid[:256, :256]
    disc = (x - 120) ** 2 + (y - 140) ** 2 < 45**2
    image = np.where(disc[..., None], [185, 165, 130], [60, 85, 55])
    image = (image + np.random.default_rng(0).normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
    predictor.set_image(image)
    box = np.array([70, 92, 168, 188])
    for point, given in ((np.array([[125, 150]]), box), (np.array([[125, 150]]), None), (None, box)):
        labels = None if point is None else np.ones(1)
        mask = predictor.predict(point, labels, given, multimask_output=False)[0][0]
        assert (mask & disc).sum() / (mask | disc).sum() > 0.8


def test_cam_becomes_logits():
    cam = np.zeros((2, 256, 256), np.uint8)
    cam[1] = 255
    logits = cam_to_mask_prompt(cam, 128)
    assert logits.shape == (2, 1, 128, 128) and logits.dtype == torch.float32
    assert torch.all(logits[0] == -LOGIT_RANGE) and torch.all(logits[1] == LOGIT_RANGE)
    assert cam_to_mask_prompt(np.full((1, 8, 8), 0.5, np.float32), 8).abs().max() == 0
    ramp = np.tile(np.arange(256, dtype=np.uint8), (1, 256, 1))
    assert torch.all(cam_to_mask_prompt(ramp, 128)[0, 0].diff(dim=1) > 0)


def test_cam_of_an_oblong_tile_is_padded_as_background():
    logits = cam_to_mask_prompt(np.full((1, 100, 200), 255, np.uint8), 128)
    assert logits.shape == (1, 1, 128, 128)
    assert torch.allclose(logits[0, 0, :64], torch.tensor(LOGIT_RANGE)) and torch.all(logits[0, 0, 64:] == -LOGIT_RANGE)
