import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sam import tiny_sam, tiny_sam_model

from apsam.commands.everything import everything as command
from apsam.errors import InputError
from apsam.sam import everything, registry
from apsam.sam.decode import Decoded
from apsam.sam.everything import boxes_of, point_grid, segment_everything, stability_score, suppress_doubles
from apsam.sam.mobile import build_mobile_sam
from apsam.sam.registry import build_untrained, wrap_sam
from apsam.sam.settings import EverythingSettings, SamSettings

from segment_anything import SamAutomaticMaskGenerator  # isort: skip
from segment_anything import automatic_mask_generator  # isort: skip

PERMISSIVE = EverythingSettings(
    points_per_side=5, min_iou=0, min_stability=0.7, stability_offset=0.3, max_box_overlap=1
)


def brute_force(boxes, scores, limit):
    """Suppression pair by pair, for comparison."""
    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        x0, y0, x1, y1 = boxes[index]
        for other in kept:
            a0, b0, a1, b1 = boxes[other]
            common = max(0, min(x1, a1) - max(x0, a0)) * max(0, min(y1, b1) - max(y0, b0))
            if common > limit * ((x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - common):
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("limit", [0.3, 0.7, 1.0])
def test_suppression_against_brute_force(limit):
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 40, (200, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 30, (200, 2))], axis=1)
    scores = rng.permutation(200) / 200
    assert suppress_doubles(boxes, scores, limit).tolist() == brute_force(boxes.tolist(), scores, limit)
    assert suppress_doubles(boxes[:0], scores[:0], limit).tolist() == []


def test_boxes_and_stability_by_hand():
    masks = np.zeros((2, 5, 6), bool)
    masks[0, 1:3, 2:6] = True
    assert boxes_of(masks).tolist() == [[2, 1, 5, 2], [0, 0, 0, 0]]
    assert boxes_of(masks[:0]).shape == (0, 4)
    logits = np.array([[[-2.0, -0.5, 0.5, 2.0]], [[-9.0, -9.0, -9.0, -9.0]]])
    assert stability_score(logits, 0.0, 1.0).tolist() == [1 / 3, 0]


def test_grid():
    assert point_grid(2, (40, 80)).tolist() == [[20, 10], [60, 10], [20, 30], [60, 30]]


@pytest.mark.parametrize("size", [(64, 64), (50, 90)])
def test_objects_are_those_of_sams_generator(size, monkeypatch):
    def suppress(boxes, scores, _, iou_threshold):
        return torch.from_numpy(suppress_doubles(boxes.numpy(), scores.numpy(), iou_threshold))

    monkeypatch.setattr(automatic_mask_generator, "batched_nms", suppress)
    image = np.random.default_rng(0).integers(0, 256, (3, *size), np.uint8)
    expected = SamAutomaticMaskGenerator(
        tiny_sam_model(),
        points_per_side=PERMISSIVE.points_per_side,
        pred_iou_thresh=0,
        stability_score_thresh=PERMISSIVE.min_stability,
        stability_score_offset=PERMISSIVE.stability_offset,
        box_nms_thresh=PERMISSIVE.max_box_overlap,
    ).generate(image.transpose(1, 2, 0))
    found = segment_everything(tiny_sam(), image, PERMISSIVE, precision="fp32")
    assert 10 < len(expected) < 3 * 25, "the filters take some and leave some"
    theirs = sorted((*each["point_coords"][0], each["predicted_iou"], each["stability_score"]) for each in expected)
    ours = sorted((*point, *rest) for point, *rest in zip(found.points, found.iou, found.stability, strict=True))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    painted = np.zeros(size, bool)
    for each in expected:
        painted |= each["segmentation"]
    assert ((found.labels > 0) != painted).mean() < 0.001


def test_small_objects_are_drawn_over_large_ones(monkeypatch):
    def answer(sam, embeddings, prompts, size, choice):
        logits = np.full((len(prompts), 3, *size), -9.0, np.float32)
        logits[:, 0, 2:30, 2:30] = 9
        logits[:, 1, 10:14, 10:14] = 9
        return Decoded(logits, np.tile(np.array([[0.9, 0.95, 0.1]], np.float32), (len(prompts), 1)))

    monkeypatch.setattr(everything, "decode_prompts", answer)
    image = np.zeros((3, 64, 64), np.uint8)
    found = segment_everything(tiny_sam(), image, EverythingSettings(points_per_side=3))
    assert np.unique(found.labels).tolist() == [0, 1, 2]
    assert (found.labels == 2).sum() == 16 and (found.labels == 1).sum() == 28 * 28 - 16
    assert found.iou.tolist() == pytest.approx([0.9, 0.95])
    large = EverythingSettings(points_per_side=3, min_area=16)
    assert segment_everything(tiny_sam(), image, large).labels.max() == 1


def test_nothing_found():
    image = np.zeros((3, 64, 64), np.uint8)
    found = segment_everything(tiny_sam(), image, EverythingSettings(points_per_side=2, min_iou=1))
    assert not found.labels.any() and found.boxes.shape == (0, 4)


@pytest.mark.parametrize("name", ["light", "mobile"])
def test_full_image_mode_works_with_the_other_sams(name):
    """With random weights, so nothing is filtered: every point gives three masks, of which equals are joined."""
    torch.manual_seed(0)
    sam = wrap_sam(build_untrained("light") if name == "light" else build_mobile_sam(256), name)
    image = np.random.default_rng(0).integers(0, 256, (3, 120, 100), np.uint8)
    settings = EverythingSettings(points_per_side=2, min_iou=0, min_stability=0, max_box_overlap=0.99)
    found = segment_everything(sam, image, settings)
    assert found.labels.shape == (120, 100)
    assert 1 <= found.labels.max() <= len(found.boxes) <= 12


def test_number_of_points_at_a_time_does_not_change_objects(monkeypatch):
    image = np.random.default_rng(1).integers(0, 256, (3, 64, 64), np.uint8)
    sam = tiny_sam()
    expected = segment_everything(sam, image, PERMISSIVE, precision="fp32")
    monkeypatch.setattr(everything, "POINTS_HELD", 4)
    found = segment_everything(sam, image, PERMISSIVE, precision="fp32")
    np.testing.assert_allclose(found.iou, expected.iou, atol=1e-5)


def test_the_command_writes_a_label_image(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "build_sam", lambda *_, **__: tiny_sam())
    image = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    command(tmp_path / "image.png", tmp_path / "labels.png", PERMISSIVE, SamSettings(precision="fp32"))
    written = np.asarray(Image.open(tmp_path / "labels.png"))
    expected = segment_everything(tiny_sam(), image.transpose(2, 0, 1), PERMISSIVE, precision="fp32")
    assert written.shape == (50, 90) and written.dtype == np.uint16
    np.testing.assert_array_equal(written, expected.labels)
    command(tmp_path / "image.png", tmp_path / "labels.png", PERMISSIVE, SamSettings(precision="fp32", channels="bgr"))
    swapped = np.ascontiguousarray(image.transpose(2, 0, 1)[::-1])
    found = segment_everything(tiny_sam(), swapped, PERMISSIVE, precision="fp32")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "labels.png")), found.labels)
    assert (found.labels != expected.labels).any()
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match="not an image"):
        command(tmp_path / "text.png", tmp_path / "labels.png", PERMISSIVE, SamSettings())


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_more_than_eight_bits_are_refused(kind: type, tmp_path):
    """Pillow would cut all values at 255, and SAM would see a white image."""
    Image.fromarray(np.full((32, 32), 3000, kind)).save(tmp_path / "image.tif")
    with pytest.raises(InputError, match=r"image\.tif: has more than 8 bits a channel"):
        command(tmp_path / "image.tif", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
