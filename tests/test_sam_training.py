"""The light SAM's training: scenes, prompts, losses, the step, the loop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import pixel_shuffle

from apsam.errors import ApsamError
from apsam.sam.folded_decoder import add_shared, decode_folded, fold_detail, mask_logits, unfold_pixels
from apsam.sam.light import build_light_sam, light_state_dict
from apsam.sam.training import scenes
from apsam.sam.training.data import make_item
from apsam.sam.training.evaluate import HELD_OUT_SEED, box_mask, evaluate_held_out, mask_iou
from apsam.sam.training.loop import LightTraining, Trainer, train_light_sam
from apsam.sam.training.losses import intersection_over_union, mask_loss, promptable_loss
from apsam.sam.training.prompt_encoder import PromptTensors, encode_prompts
from apsam.sam.training.prompts import (
    KINDS,
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


def test_small_parts_become_ground():
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


def test_box_around_similar_objects_targets_all_of_them():
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


def test_items_do_not_depend_on_the_process():
    one, again = make_item(5, 3, 4), make_item(5, 3, 4)
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert one["target"].shape == (4, 128, 128) and one["image"].shape == (3, 256, 256)


@pytest.mark.parametrize("corrected", [False, True])
def test_fast_decoding_is_sams_decoding(corrected: bool):
    """All kinds of prompts in one padded batch give what SAM's own modules give to each of them alone."""
    torch.manual_seed(0)
    sam = build_light_sam(None)
    kind, has_mask = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([True, False, True, False, True, False])
    points, boxes, masks = torch.rand(6, 1, 2) * 512, torch.rand(6, 4) * 512, torch.randn(6, 1, 128, 128) * 4
    more = (torch.rand(6, 1, 2) * 512, torch.tensor([[1.0], [0], [0], [1], [0], [1]])) if corrected else (None, None)
    with torch.no_grad():
        images = torch.randn(2, sam.image_encoder.out_channels, 32, 32)  # three prompts each
        embeddings, detail = images[:, :128], pixel_shuffle(images[:, 128:], 4)
        asked = PromptTensors(kind, points, boxes, masks, has_mask, *more)
        sparse, present, dense = encode_prompts(sam.prompt_encoder, asked, torch.float32)
        position = sam.prompt_encoder.get_dense_pe()
        pixels = add_shared(dense, embeddings.flatten(2).transpose(1, 2))
        place = position.flatten(2)[0].T
        vectors, pixels, iou = decode_folded(sam.mask_decoder, pixels, fold_detail(detail), place, sparse, present)
        logits = unfold_pixels(mask_logits(vectors, pixels), 128)
        for i in range(6):
            given = [] if kind[i] == KINDS.index("box") else [(points[i : i + 1], torch.ones(1, 1))]
            given += [(more[0][i : i + 1], more[1][i : i + 1])] if corrected else []
            pair = tuple(torch.cat(part, 1) for part in zip(*given, strict=True)) if given else None
            box = None if kind[i] == KINDS.index("point") else boxes[i : i + 1]
            tokens = sam.prompt_encoder(pair, box, masks[i : i + 1] if has_mask[i] else None)
            expected, quality = sam.mask_decoder.predict_masks(images[i // 3 : i // 3 + 1], position, *tokens)
            assert torch.allclose(expected[0], logits[i], atol=1e-5)
            assert torch.allclose(quality[0], iou[i], atol=1e-5)


def test_gradients_of_shared_values_are_summed():
    own, shared = torch.randn(6, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    weight = torch.randn(6, 3)
    (add_shared(own, shared) * weight).sum().backward()
    assert torch.equal(own.grad, weight)
    assert torch.allclose(shared.grad, weight.view(2, 3, 3).sum(1))


def test_losses_order_predictions():
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    target = target.flatten(2)
    right, wrong = (target * 2 - 1) * 8, (1 - target * 2) * 8
    losses = mask_loss(torch.cat([right, wrong], 1), target)
    assert losses[0, 0] < 0.01 < 5 < losses[0, 1]
    assert intersection_over_union(right, target).item() == 1 and intersection_over_union(wrong, target).item() == 0
    pixels = right.transpose(1, 2)  # one channel a pixel: a mask's vector is its sign
    iou = torch.tensor([[1.0, 0, 1, 0]])
    one_right, none_right = torch.tensor([[[1.0], [-1], [1], [-1]]]), torch.tensor([[[1.0], [-1], [-1], [-1]]])
    better, worse = (promptable_loss(vectors, pixels, iou, target[:, 0]) for vectors in (one_right, none_right))
    assert better < 0.02 < worse


def test_the_written_gradient_is_the_losses():
    logits = torch.randn(2, 3, 64, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, 64, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: mask_loss(x, target), (logits,))


def test_correction_points_are_in_the_error():
    target = torch.zeros(2, 1, 32, 32)
    target[:, :, :16, :16] = 1
    logits = target * 2 - 1
    logits[0, 0, :8, :8] = -1  # missed
    logits[1, 0, 20:, 20:] = 1  # taken for the object
    points, labels = correction_points(logits, target, torch.Generator().manual_seed(0))
    assert labels.tolist() == [[1], [0]]
    assert (points[0] < 8).all() and (points[1] >= 20).all()


def test_gradients_reach_all_trained_parameters():
    torch.manual_seed(0)
    sam = build_light_sam(None)
    stepper = Stepper(sam, torch.float32)
    items = [make_item(1, index, 24) for index in (0, 1)]
    features = stepper.features(torch.stack([item["image"] for item in items]))
    small = [{key: v if v.dim() == 0 or key == "image" else v[:10] for key, v in item.items()} for item in items]
    loss, gradients = stepper.gradients(features, small, torch.Generator().manual_seed(0), correct=4)
    assert np.isfinite(loss)
    names = {id(p): name for name, p in sam.named_parameters()}
    still = [
        names[id(p)]
        for p, gradient in zip(learning_parameters(sam), gradients, strict=True)
        if not gradient.abs().max() > 0
    ]
    # The bias of keys moves all logits of a query alike.
    keys = tuple(name for name in still if name.endswith("k_proj.bias") and "token_to_image" in name)
    three = [f"mask_decoder.output_hypernetworks_mlps.{index}." for index in (1, 2, 3)]  # only the best one learns
    assert not [name for name in still if not name.startswith((*three, *keys))]
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


def test_interrupted_training_resumes_identically(trained: Path, tmp_path: Path):
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
    with pytest.raises(ApsamError, match="steps"):  # the rate has fallen already
        Trainer(replace(SMALL, steps=9), trained.with_suffix(".state.pt"))


def test_the_number_of_steps_can_be_set_late(tmp_path: Path):
    """Until the learning rate falls, nothing depends on the number of steps."""
    first = Trainer(replace(SMALL, steps=8), tmp_path / "state.pt")
    first.train_step()
    first.save()
    second, whole = Trainer(SMALL, tmp_path / "state.pt"), Trainer(SMALL, tmp_path / "other.pt")
    second.train_step()
    whole.train_step()
    whole.train_step()
    for key, value in light_state_dict(whole.sam).items():
        assert torch.equal(light_state_dict(second.sam)[key], value), key


def test_the_learning_rate_warms_up_and_falls_to_nothing(tmp_path: Path):
    trainer = Trainer(replace(SMALL, steps=100, warm_up=10), tmp_path / "state.pt")
    rates = []
    for trainer.step in (0, 9, 75, 99):
        rates.append(trainer.learning_rate() / SMALL.rate)
    assert rates == pytest.approx([0.1, 1, 1, 0.04])


def test_held_out_figures_are_complete():
    figures = evaluate_held_out(build_light_sam(None), scenes=1)
    choices = {
        f"{asked}, {choice}"
        for asked in ("both", "rough")
        for choice in ("best_iou", *(f"index {i}" for i in range(3)))
    }
    assert {"both", "box", "point", "jittered_box", "rough", "rough_map", "objects"} | choices == set(figures)
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
