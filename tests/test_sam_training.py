"""The light SAM's training: scenes, prompts, losses, the step, the loop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from apsam.errors import ApsamError
from apsam.sam.light import build_light_sam, light_state_dict
from apsam.sam.training import scenes
from apsam.sam.training.data import make_item
from apsam.sam.training.decoder import decode_prompts
from apsam.sam.training.evaluate import HELD_OUT_SEED, box_mask, evaluate_held_out, mask_iou
from apsam.sam.training.loop import LightTraining, Trainer, train_light_sam
from apsam.sam.training.losses import intersection_over_union, mask_loss, promptable_loss
from apsam.sam.training.prompts import (
    SMALLEST,
    coarse_map,
    distorted_box,
    draw_prompts,
    interior_point,
    jittered_box,
    tight_box,
)
from apsam.sam.training.real_images import evaluate_real, grabcut
from apsam.sam.training.scenes import HELD_OUT, make_scene
from apsam.sam.training.step import Stepper, correction_points, learning_parameters
from apsam.sam.training.visibility import only_visible, without_crumbs

SMALL = LightTraining(steps=3, images=2, prompts=2, pool=2, uses=2, warm_up=1, held_out=1, workers=0, device="cpu")


def first_scene(seed: int, ranges=scenes.TRAINING) -> scenes.Scene:
    """The first scene of a seed that has objects."""
    for index in range(50):
        scene = make_scene(np.random.default_rng([seed, index]), ranges)
        if (np.bincount(scene.objects.ravel())[1:] >= SMALLEST).any():
            return scene
    raise AssertionError("50 scenes without an object")


def test_scenes_repeat_and_differ():
    one, again, other = (make_scene(np.random.default_rng([4, i])) for i in (0, 0, 1))
    assert np.array_equal(one.image, again.image) and np.array_equal(one.objects, again.objects)
    assert not np.array_equal(one.image, other.image)
    assert one.image.shape == (256, 256, 3) and one.image.dtype == np.uint8
    assert one.objects.max() < len(one.group)


def test_objects_can_be_seen():
    """An object painted like its ground is taken out, a distinct one is kept."""
    rng = np.random.default_rng(0)
    image = rng.integers(90, 110, (256, 256, 3)).astype(np.uint8)
    objects = np.zeros((256, 256), np.uint8)
    objects[30:80, 30:80], objects[120:180, 120:180] = 1, 2
    image[objects == 2] += 60
    kept = only_visible(image, objects.copy())
    assert set(np.unique(kept)) == {0, 2}


def test_crumbs_become_ground():
    objects = np.zeros((64, 64), np.uint8)
    objects[5:45, 5:45], objects[50:54, 50:54] = 1, 1
    kept = without_crumbs(objects)
    assert kept[20, 20] == 1 and kept[52, 52] == 0


def test_held_out_scenes_come_from_other_ranges():
    for name in ("radius", "contrast", "blur", "noise", "quality"):
        assert getattr(HELD_OUT, name) != getattr(scenes.TRAINING, name)
    assert LightTraining().seed != HELD_OUT_SEED


def test_prompts_fit_their_target():
    scene = first_scene(11)
    for prompt in draw_prompts(np.random.default_rng(0), scene, 60):
        x, y = prompt.point.astype(int)
        assert prompt.target[y, x]  # the point lies inside, whatever its place
        x0, y0, x1, y1 = prompt.box
        assert 0 <= x0 < x1 <= 255 and 0 <= y0 < y1 <= 255
        assert prompt.target.sum() >= SMALLEST
        assert prompt.coarse_map is None or prompt.coarse_map.max() == 255


def test_a_box_around_several_alike_asks_for_all_of_them():
    objects = np.zeros((256, 256), np.uint8)
    objects[40:80, 40:80], objects[100:140, 40:80], objects[60:120, 150:200] = 1, 2, 3
    scene = scenes.Scene(np.zeros((256, 256, 3), np.uint8), objects, [-1, 0, 0, 1])
    asked = {
        (prompt.kind, tuple(np.unique(objects[prompt.target])))
        for prompt in draw_prompts(np.random.default_rng(1), scene, 300)
    }
    assert ("box", (1, 2)) in asked and ("both", (1, 2)) in asked
    assert not [numbers for kind, numbers in asked if kind == "point" and len(numbers) > 1]
    assert not [numbers for _, numbers in asked if 3 in numbers and len(numbers) > 1]  # 3 does not look alike


def test_boxes_are_distorted_in_every_way():
    mask = np.zeros((256, 256), bool)
    mask[100:160, 80:150] = True
    tight = tight_box(mask)
    assert tight.tolist() == [80, 100, 149, 159]
    rng = np.random.default_rng(0)
    boxes = np.array([distorted_box(rng, tight, mask.shape) for _ in range(400)])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (69 * 59)
    assert (areas > 1.6).mean() > 0.05 and (areas < 0.7).mean() > 0.05
    jittered = np.array([jittered_box(rng, tight, mask.shape) for _ in range(100)])
    assert np.abs(jittered - tight).max(0) == pytest.approx([6.9, 5.9, 6.9, 5.9], rel=0.1)


def test_the_deepest_point_is_the_default():
    mask = np.zeros((64, 64), bool)
    mask[10:31, 20:61] = True
    point = interior_point(None, mask)
    assert point[1] == 20 and 30 <= point[0] <= 50


def test_a_coarse_map_is_blurred_but_tells_where():
    mask = np.zeros((256, 256), bool)
    mask[60:140, 150:230] = True
    rng = np.random.default_rng(3)
    maps = np.stack([coarse_map(rng, mask, mask) for _ in range(40)]).mean(0)
    assert maps[30:70, 75:115].mean() > 3 * maps[64:, :64].mean()
    assert np.unique(coarse_map(rng, mask, mask)).size > 50


def test_items_do_not_depend_on_who_makes_them():
    one, again = make_item(5, 3, 4), make_item(5, 3, 4)
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert one["target"].shape == (4, 128, 128) and one["image"].shape == (3, 256, 256)


def test_fast_decoding_is_sams_decoding():
    torch.manual_seed(0)
    sam = build_light_sam(None)
    with torch.no_grad():
        embedding = torch.randn(1, 128, 32, 32)
        points = torch.rand(3, 1, 2) * 512, torch.ones(3, 1)
        sparse, dense = sam.prompt_encoder(points, torch.rand(3, 4) * 512, None)
        position = sam.prompt_encoder.get_dense_pe()
        expected = sam.mask_decoder.predict_masks(embedding, position, sparse, dense)
        found = decode_prompts(sam.mask_decoder, embedding.expand(3, -1, -1, -1), position, sparse, dense)
    for a, b in zip(expected, found, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_losses_know_better_from_worse():
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    right, wrong = (target * 2 - 1) * 8, (1 - target * 2) * 8
    losses = mask_loss(torch.cat([right, wrong], 1), target)
    assert losses[0, 0] < 0.01 < 5 < losses[0, 1]
    assert intersection_over_union(right, target).item() == 1 and intersection_over_union(wrong, target).item() == 0
    one_right = torch.cat([right, wrong, right, wrong], 1)
    none_right = torch.cat([right, wrong, wrong, wrong], 1)
    iou = torch.tensor([[1.0, 0, 1, 0]])
    assert promptable_loss(one_right, iou, target) < 0.02 < promptable_loss(none_right, iou, target)


def test_correction_points_lie_in_the_error():
    target = torch.zeros(2, 1, 32, 32)
    target[:, :, :16, :16] = 1
    logits = target * 2 - 1
    logits[0, 0, :8, :8] = -1  # missed
    logits[1, 0, 20:, 20:] = 1  # taken for the object
    points, labels = correction_points(logits, target, torch.Generator().manual_seed(0))
    assert labels.tolist() == [[1], [0]]
    assert (points[0] < 8).all() and (points[1] >= 20).all()


def test_gradients_reach_everything_that_learns():
    torch.manual_seed(0)
    sam = build_light_sam(None)
    stepper = Stepper(sam, torch.float32)
    items = [make_item(1, index, 24) for index in (0, 1)]
    features = stepper.features(torch.stack([item["image"] for item in items]))
    small = [{key: v if v.dim() == 0 or key == "image" else v[:10] for key, v in item.items()} for item in items]
    loss, gradients = stepper.gradients(features, small, torch.Generator().manual_seed(0), correct=True)
    assert np.isfinite(loss)
    names = {id(p): name for name, p in sam.named_parameters()}
    still = [
        names[id(p)]
        for p, gradient in zip(learning_parameters(sam), gradients, strict=True)
        if not gradient.abs().max() > 0
    ]
    three = [f"mask_decoder.output_hypernetworks_mlps.{index}." for index in (1, 2, 3)]  # only the best one learns
    assert not [name for name in still if not name.startswith((*three, "prompt_encoder.no_mask_embed"))]
    assert any(not any(name.startswith(one) for name in still) for one in three)
    assert len(gradients) == sum(p.requires_grad for p in sam.parameters())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "light.safetensors"
    train_light_sam(SMALL, path)
    return path


def test_same_seed_same_weights(trained: Path, tmp_path: Path):
    train_light_sam(SMALL, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == trained.read_bytes()


def test_a_broken_off_training_goes_on_as_if_nothing_had_been(trained: Path, tmp_path: Path):
    state = tmp_path / "state.pt"
    first = Trainer(SMALL, state)
    first.train_step()
    first.save()
    second = Trainer(SMALL, state)
    assert second.step == 1
    second.train_step()
    second.train_step()
    whole = Trainer(SMALL, trained.with_suffix(".state.pt"))
    for key, value in light_state_dict(whole.sam).items():
        assert torch.equal(light_state_dict(second.sam)[key], value), key


def test_a_state_of_another_training_is_refused(trained: Path):
    with pytest.raises(ApsamError, match="seed"):
        Trainer(replace(SMALL, seed=1), trained.with_suffix(".state.pt"))


def test_held_out_figures_are_complete():
    figures = evaluate_held_out(build_light_sam(None), scenes=1)
    assert {"both", "box", "point", "jittered_box", "rough", "rough_map", "objects"} == set(figures)
    assert all(0 <= value <= 1 for key, value in figures.items() if key != "objects")


def test_iou_of_boxes():
    one, other = box_mask(np.array([0, 0, 9, 9]), (20, 20)), box_mask(np.array([0, 0, 9, 4]), (20, 20))
    assert one.sum() == 100 and mask_iou(one, other) == 0.5


def test_grabcut_finds_a_plain_object_and_survives_a_box_over_everything():
    image = np.full((64, 64, 3), 60, np.uint8)
    image[20:40, 20:40] = 200
    image = (image + np.random.default_rng(0).integers(0, 9, image.shape)).astype(np.uint8)
    wanted = np.zeros((64, 64), bool)
    wanted[20:40, 20:40] = True
    assert mask_iou(grabcut(image, np.array([15, 15, 45, 45]), np.array([30, 30])), wanted) > 0.9
    assert grabcut(image, np.array([0, 0, 63, 63]), np.array([30, 30])).all()
    assert grabcut(image, np.array([15, 15, 45, 45]), np.array([30, 30]), core=0.5)[25:35, 25:35].all()


def test_real_images_are_measured(real_data: Path):
    figures = evaluate_real(build_light_sam(), real_data / "bijie" / "val", limit=2)
    assert figures["images"] == 2
    assert all(0 <= figures[key] <= 1 for key in ("both", "box", "point", "jittered_box", "grabcut"))
