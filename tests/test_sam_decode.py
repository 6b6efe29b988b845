import numpy as np
import pytest
import torch
from tiny_sam import tiny_sam_model

from apsam.errors import ApsamError
from apsam.sam import decode
from apsam.sam.decode import PromptBatch, decode_prompts, upscale
from apsam.sam.encode import encode_tiles
from apsam.sam.registry import build_untrained, wrap_sam

from segment_anything import SamPredictor  # isort: skip

KINDS = ["both", "points", "boxes", "mask", "both and mask"]


@pytest.fixture(scope="module", params=["fast", "original"])
def sam(request):
    return wrap_sam(tiny_sam_model(), "tiny", fast_attention=request.param == "fast")


@pytest.fixture(scope="module")
def released():
    return tiny_sam_model()


def make_prompts(kind, tiles, size, low, seed=0):
    rng = np.random.default_rng(seed)
    height, width = size
    corner = rng.uniform(0, 0.5, (len(tiles), 2)) * [width, height]
    boxes = np.concatenate([corner, corner + rng.uniform(0.2, 0.5, (len(tiles), 2)) * [width, height]], 1)
    points = rng.uniform(0, 1, (len(tiles), 2)) * [width, height]
    with_mask = "mask" in kind
    return PromptBatch(
        tile=np.array(tiles),
        boxes=boxes if kind.startswith("both") or kind == "boxes" else None,
        points=points if kind.startswith("both") or kind == "points" else None,
        point_labels=rng.integers(0, 2, len(tiles)),
        mask_logits=rng.normal(0, 4, (len(tiles), 1, low, low)).astype(np.float32) if with_mask else None,
    )


def ask_predictor(released, images, prompts, three):
    """The reference: tile by tile, prompt by prompt, through the released predictor."""
    predictor = SamPredictor(released)
    masks, qualities = [], []
    for place, tile in enumerate(prompts.tile):
        predictor.set_image(images[tile].transpose(1, 2, 0))
        points = None if prompts.points is None else prompts.points[place][None]
        mask, quality, _ = predictor.predict(
            point_coords=points,
            point_labels=None if points is None else prompts.point_labels[place][None],
            box=None if prompts.boxes is None else prompts.boxes[place],
            mask_input=None if prompts.mask_logits is None else prompts.mask_logits[place],
            multimask_output=three,
            return_logits=True,
        )
        masks.append(mask)
        qualities.append(quality)
    return np.stack(masks), np.stack(qualities)


def iou(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("three", [True, False])
def test_masks_equal_those_of_the_predictor(sam, released, kind, three):
    images = np.random.default_rng(1).integers(0, 256, (3, 3, 64, 64), np.uint8)
    prompts = make_prompts(kind, [2, 0, 2, 2, 1, 0], (64, 64), 32)
    embeddings = encode_tiles(sam, images, precision="fp32", dtype=np.float32)
    found = decode_prompts(sam, embeddings, prompts, (64, 64), "all" if three else "single", batch=4)
    logits, quality = ask_predictor(released, images, prompts, three)
    assert found.logits.shape == logits.shape == (6, 3 if three else 1, 64, 64)
    assert 1 < np.abs(logits).max() and np.abs(found.logits - logits).max() < 1e-3
    np.testing.assert_allclose(found.iou, quality, atol=1e-4)
    assert iou(found.logits > 0, logits > 0) >= 0.999


@pytest.mark.parametrize("size", [(64, 64), (50, 70), (128, 128), (97, 41), (300, 200)])
def test_tiles_of_any_size(sam, released, size):
    images = np.random.default_rng(2).integers(0, 256, (2, 3, *size), np.uint8)
    prompts = make_prompts("both", [1, 0, 1], size, 32)
    embeddings = encode_tiles(sam, images, precision="fp32", dtype=np.float32)
    found = decode_prompts(sam, embeddings, prompts, size, "all")
    logits, _ = ask_predictor(released, images, prompts, three=True)
    assert 1 < np.abs(logits).max() and np.abs(found.logits - logits).max() < 1e-3
    assert iou(found.logits > 0, logits > 0) >= 0.999


def test_upscale_is_the_released_postprocessing(sam):
    low = torch.randn(3, 2, 32, 32)
    for size in [(64, 64), (40, 90), (128, 128)]:
        height, width = decode.input_size(*size, 128)
        expected = sam.model.postprocess_masks(low, (height, width), size)
        assert torch.allclose(upscale(low, 128, size), expected, atol=1e-5)


def test_one_mask_a_prompt(sam):
    embeddings = np.random.default_rng(3).normal(size=(2, *sam.embedding_shape)).astype(np.float32)
    prompts = make_prompts("both", [0, 1, 1, 0, 0], (64, 64), 32)
    three = decode_prompts(sam, embeddings, prompts, (64, 64), "all")
    best = decode_prompts(sam, embeddings, prompts, (64, 64), "best_iou")
    second = decode_prompts(sam, embeddings, prompts, (64, 64), "index", mask_index=1)
    np.testing.assert_array_equal(best.iou[:, 0], three.iou.max(1))
    for place in range(5):
        np.testing.assert_allclose(best.logits[place, 0], three.logits[place, three.iou[place].argmax()], atol=1e-5)
    np.testing.assert_allclose(second.logits[:, 0], three.logits[:, 1], atol=1e-5)
    assert best.probabilities.min() >= 0 and best.probabilities.max() <= 1


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_batch_size_does_not_change_masks(sam, batch):
    embeddings = np.random.default_rng(4).normal(size=(3, *sam.embedding_shape)).astype(np.float16)
    prompts = make_prompts("both", [2, 1, 0, 1, 2], (64, 64), 32)
    expected = decode_prompts(sam, embeddings, prompts, (64, 64), batch=5)
    found = decode_prompts(sam, embeddings, prompts, (64, 64), batch=batch)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)


def test_out_of_memory_halves_the_batch(sam, monkeypatch):
    embeddings = np.zeros((1, *sam.embedding_shape), np.float32)
    prompts = make_prompts("both", [0] * 7, (64, 64), 32)
    expected = decode_prompts(sam, embeddings, prompts, (64, 64))
    encode_prompts, seen = sam.model.prompt_encoder.forward, []

    def forward(points, boxes, masks):
        seen.append(len(boxes))
        if len(boxes) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode_prompts(points, boxes, masks)

    monkeypatch.setattr(sam.model.prompt_encoder, "forward", forward)
    found = decode_prompts(sam, embeddings, prompts, (64, 64), batch=7)
    assert seen == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)

    monkeypatch.setattr(decode, "_low_resolution", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(ApsamError, match="not enough memory"):
        decode_prompts(sam, embeddings, prompts, (64, 64))


def test_no_prompts_at_all(sam):
    embeddings = np.zeros((1, *sam.embedding_shape), np.float32)
    prompts = PromptBatch(tile=np.zeros(0, int), boxes=np.zeros((0, 4)))
    assert decode_prompts(sam, embeddings, prompts, (64, 64)).logits.shape == (0, 1, 64, 64)


def test_prompts_must_fit_together():
    with pytest.raises(ValueError, match="boxes has 3 entries for 2"):
        PromptBatch(tile=np.zeros(2, int), boxes=np.zeros((3, 4)))
    with pytest.raises(ValueError, match="needs a box, a point or a mask"):
        PromptBatch(tile=np.zeros(2, int))


@pytest.mark.parametrize("kind", ["both", "both and mask"])
def test_light_sam_masks_equal_those_of_its_decoder(kind):
    fast, original = (wrap_sam(build_untrained("light"), "light", fast_attention=fast) for fast in (True, False))
    original.model.load_state_dict(fast.model.state_dict())
    embeddings = np.random.default_rng(5).normal(size=(3, *fast.embedding_shape)).astype(np.float16)
    prompts = make_prompts(kind, [2, 0, 2, 2, 1], (256, 256), 128)
    found, expected = (decode_prompts(sam, embeddings, prompts, (256, 256), "all") for sam in (fast, original))
    assert np.abs(found.logits - expected.logits).max() < 1e-5 * np.abs(expected.logits).max()
    np.testing.assert_allclose(found.iou, expected.iou, atol=1e-6)


def test_the_fast_way_projects_no_pixels():
    """What makes it fast: no linear layer sees the image's pixels but those that make masks of them."""
    sam, seen = wrap_sam(tiny_sam_model(), "tiny"), []
    for module in sam.model.mask_decoder.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda module, inputs, _: seen.append(inputs[0].shape[-2]))
    embeddings = np.zeros((1, *sam.embedding_shape), np.float32)
    decode_prompts(sam, embeddings, make_prompts("both", [0, 0], (64, 64), 32), (64, 64))
    assert seen and max(seen) < sam.embedding_shape[-1] ** 2


@pytest.mark.parametrize("part", ["transformer", "iou_prediction_head"])
def test_a_decoder_that_gives_nan_is_an_error(part):
    """Otherwise its masks would be empty, which looks like no landslide."""
    broken = tiny_sam_model()
    with torch.no_grad():
        for weight in getattr(broken.mask_decoder, part).parameters():
            weight.fill_(float("nan"))
    sam = wrap_sam(broken, "broken")
    embeddings = encode_tiles(sam, np.zeros((1, 3, 64, 64), np.uint8))
    with pytest.raises(ApsamError, match="SAM 'broken': its masks or their quality are NaN or infinite"):
        decode_prompts(sam, embeddings, PromptBatch(np.array([0]), boxes=np.array([[8, 8, 40, 40]])), (64, 64))
