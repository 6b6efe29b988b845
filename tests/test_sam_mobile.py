"""MobileSAM: names and shapes of the published file, the encoder's numbers, the common interface. Random weights."""

import io
import re

import numpy as np
import pytest
import torch

from apsam.errors import InputError
from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.encode import encode_tiles
from apsam.sam.mobile import TinyViT, WindowAttention, build_mobile_sam, offset_indices
from apsam.sam.registry import OFFICIAL, build_sam, wrap_sam
from apsam.weights import PUBLISHED

import timm  # isort: skip  (after apsam, whose guard lets it import torchvision)
from segment_anything import SamPredictor, build_sam_vit_b  # isort: skip

NORMED = ("c.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked")
CONVOLUTIONS = [f"conv{i}.{part}" for i in (1, 2, 3) for part in NORMED]
PAIRS = ("attn.norm", "attn.qkv", "attn.proj", "mlp.norm", "mlp.fc1", "mlp.fc2")
TRANSFORMER = [f"{name}.{part}" for name in PAIRS for part in ("weight", "bias")]
TRANSFORMER += ["attn.attention_biases", *(f"local_conv.{part}" for part in NORMED)]


def published_encoder_keys() -> set[str]:
    """As a listing of `mobile_sam.pt` has them."""
    keys = {f"patch_embed.seq.{i}.{part}" for i in (0, 2) for part in NORMED}
    for layer, depth in enumerate((2, 2, 6, 2)):
        block = TRANSFORMER if layer else CONVOLUTIONS
        keys |= {f"layers.{layer}.blocks.{i}.{part}" for i in range(depth) for part in block}
    keys |= {f"layers.{layer}.downsample.{part}" for layer in range(3) for part in CONVOLUTIONS}
    keys |= {f"{name}.{part}" for name in ("norm_head", "head", "neck.1", "neck.3") for part in ("weight", "bias")}
    return {f"image_encoder.{key}" for key in keys | {"neck.0.weight", "neck.2.weight"}}


@pytest.fixture(scope="module")
def small():
    """For inputs of 256 px, with statistics and biases as after training: nothing is a no-op."""
    torch.manual_seed(0)
    model = build_mobile_sam(256)
    enliven(model.image_encoder)
    return model


def enliven(encoder: TinyViT) -> None:
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        if isinstance(module, WindowAttention):
            torch.nn.init.normal_(module.attention_biases, std=0.5)


def test_names_and_sizes_are_those_of_the_published_file():
    state = build_mobile_sam().state_dict()
    encoder = {key for key in state if key.startswith("image_encoder.")}
    assert encoder == published_encoder_keys()
    # Everything else is SAM's.
    with torch.device("meta"):
        official = build_sam_vit_b().state_dict()
    others = {key: tuple(value.shape) for key, value in official.items() if not key.startswith("image_encoder.")}
    assert {key: tuple(value.shape) for key, value in state.items() if key not in encoder} == others
    # The same tensors make a file of the same size, but for the names of its entries.
    file = io.BytesIO()
    torch.save(state, file)
    assert abs(file.tell() - PUBLISHED["sam_mobile"].size) < 20 * len(state)


def test_the_encoder_is_timms_tiny_vit():
    """Same numbers as an independent TinyViT-5M, whose last stride is taken out as in MobileSAM."""
    torch.manual_seed(1)
    encoder = TinyViT(224).eval()
    enliven(encoder)
    theirs = timm.create_model("tiny_vit_5m_224", pretrained=False, num_classes=1000).eval()
    theirs.load_state_dict({timm_key(k): v for k, v in encoder.state_dict().items() if not k.startswith("neck.")})
    theirs.stages[3].downsample.conv2.conv.stride = (1, 1)
    images = torch.randn(2, 3, 208, 208)  # windows that do not divide the grid
    with torch.no_grad():
        expected = theirs.forward_features(images)
        found = encoder.patch_embed(images)
        for layer in encoder.layers:
            found = layer(found)
    assert found.shape == (2, 320, 13, 13) and expected.std() > 0.1
    assert torch.allclose(found, expected, atol=1e-4)


def timm_key(key: str) -> str:
    key = key.replace(".c.", ".conv.").replace("embed.seq.0", "embed.conv1").replace("embed.seq.2", "embed.conv2")
    key = re.sub(r"layers\.(\d)\.downsample", lambda match: f"stages.{int(match[1]) + 1}.downsample", key)
    key = key.replace("layers.", "stages.").replace("norm_head.", "head.norm.")
    return re.sub(r"^head\.(weight|bias)", r"head.fc.\1", key)


def test_offsets_are_numbered_as_they_first_occur():
    places = [(row, column) for row in range(4) for column in range(4)]
    numbers: dict[tuple[int, int], int] = {}
    expected = [
        [numbers.setdefault((abs(a[0] - b[0]), abs(a[1] - b[1])), len(numbers)) for b in places] for a in places
    ]
    assert offset_indices(4).tolist() == expected


def test_batched_masks_equal_those_of_the_predictor(small):
    image = np.random.default_rng(0).integers(0, 256, (3, 100, 128), np.uint8)
    boxes, points = np.array([[10, 20, 60, 80], [50, 5, 120, 90]], float), np.array([[30, 40], [90, 50]], float)
    predictor = SamPredictor(small)
    predictor.set_image(image.transpose(1, 2, 0))
    scaled = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes), (100, 128))
    places = predictor.transform.apply_coords_torch(torch.from_numpy(points), (100, 128))[:, None]
    with torch.no_grad():
        expected, quality, _ = predictor.predict_torch(places, torch.ones(2, 1), scaled, return_logits=True)
    sam = wrap_sam(small, "mobile")
    embedding = encode_tiles(sam, image[None], precision="fp32", dtype=np.float32)
    assert embedding.shape[1:] == sam.embedding_shape == (256, 16, 16)
    found = decode_prompts(sam, embedding, PromptBatch(np.zeros(2, int), boxes, points), (100, 128), "all")
    np.testing.assert_allclose(found.logits, expected.numpy(), atol=1e-3 * np.abs(expected.numpy()).max())
    np.testing.assert_allclose(found.iou, quality.numpy(), atol=1e-4)


def test_checkpoint_round_trip(small, monkeypatch, tmp_path):
    monkeypatch.setitem(OFFICIAL, "mobile", lambda: build_mobile_sam(256))
    torch.save(small.state_dict(), tmp_path / "mobile_sam.pt")
    sam = build_sam("mobile", tmp_path / "mobile_sam.pt", "cpu")
    found = sam.model.state_dict()
    assert all(torch.equal(found[key], value) and found[key].dtype == value.dtype
               for key, value in small.state_dict().items())  # fmt: skip
    image = torch.randn(1, 3, 256, 256)
    assert torch.allclose(sam.model.image_encoder(image), small.image_encoder(image), atol=1e-5)
    with pytest.raises(InputError, match="checkpoint of 'mobile', not of 'vit_b'; set sam.name: mobile"):
        build_sam("vit_b", tmp_path / "mobile_sam.pt", "cpu")
