"""Our complete path compared with the released one, at full size: ViT-B with random weights, a tile of odd size."""

import numpy as np
import pytest
import torch
from tiny_sam import enliven

from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.encode import encode_tiles
from apsam.sam.registry import build_untrained, wrap_sam

from segment_anything import SamPredictor  # isort: skip


@pytest.fixture(scope="module")
def released():
    torch.manual_seed(0)
    model = build_untrained("vit_b").eval()
    enliven(model)
    for name, parameter in model.image_encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.slow
def test_vit_b_masks_equal_those_of_the_predictor(released):
    size = (200, 256)
    image = np.random.default_rng(0).integers(0, 256, (3, *size), np.uint8)
    boxes = np.array([[20, 30, 120, 160], [100, 5, 250, 190], [0, 0, 60, 60]], float)
    points = np.array([[60, 90], [180, 100], [30, 30]], float)
    predictor = SamPredictor(released)
    predictor.set_image(image.transpose(1, 2, 0))
    with torch.no_grad():
        scaled = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes), size)
        coordinates = predictor.transform.apply_coords_torch(torch.from_numpy(points), size)[:, None]
        expected, quality, _ = predictor.predict_torch(coordinates, torch.ones(3, 1), scaled, return_logits=True)

    sam = wrap_sam(released, "vit_b")
    embedding = encode_tiles(sam, image[None], precision="fp32", dtype=np.float32)
    prompts = PromptBatch(tile=np.zeros(3, int), boxes=boxes, points=points)
    found = decode_prompts(sam, embedding, prompts, size, "all")
    assert expected.abs().max() > 1
    np.testing.assert_allclose(found.logits, expected.numpy(), atol=1e-3)
    np.testing.assert_allclose(found.iou, quality.numpy(), atol=1e-4)
    ours, theirs = found.logits > 0, expected.numpy() > 0
    overlap = (ours & theirs).sum((2, 3)) / (ours | theirs).sum((2, 3))
    assert overlap.min() >= 0.999
