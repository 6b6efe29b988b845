"""Backbones: the packaged weights, strides, normalisation and freezing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from apsam import torchvision_ops  # noqa: F401  (before timm)
from apsam.backbones.build import build_backbone, lite0_weights_path, read_state_dict, rename_lite0_keys
from apsam.backbones.efficientnet_lite import EfficientNetLite0
from apsam.errors import ApsamError

import timm  # isort: skip  (after apsam, whose guard lets it import torchvision)


def test_lite0_gives_what_the_weights_own_network_gives():
    from efficientnet_lite_pytorch import EfficientNet

    reference = EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(read_state_dict(lite0_weights_path()))
    backbone = build_backbone("efficientnet_lite0", "imagenet", output_stride=32).eval()
    image = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = reference._swish(reference._bn0(reference._conv_stem(image)))
        for block in reference._blocks:
            expected = block(expected)
        found = backbone(image)[-1]
    assert (found - expected).norm() / expected.norm() < 1e-4


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_lite0_is_timms(stride: int):
    """The same names, starting weights, maps and running statistics, and the same random numbers drawn."""
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True, output_stride=stride)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    ours = EfficientNetLite0(stride)
    assert torch.equal(torch.rand(1), drawn)
    assert (ours.channels, ours.strides) == (theirs.feature_info.channels(), theirs.feature_info.reduction())
    image = torch.randn(2, 3, 65, 98)
    for training in (True, False):
        pairs = zip(ours.train(training)(image), theirs.train(training)(image), strict=True)
        assert all(torch.equal(found, expected) for found, expected in pairs)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize(
    ("name", "stride", "strides"),
    [
        ("efficientnet_lite0", 32, [2, 4, 8, 16, 32]),
        ("efficientnet_lite0", 16, [2, 4, 8, 16, 16]),
        ("resnet50", 16, [2, 4, 8, 16, 16]),
    ],
)
def test_stages_have_the_stated_channels_and_strides(name: str, stride: int, strides: list[int]):
    backbone = build_backbone(name, "none", stride).eval()
    assert backbone.strides == strides
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 96, 64))
    assert [tuple(f.shape[1:]) for f in features] == [
        (channels, 96 // s, 64 // s) for channels, s in zip(backbone.channels, strides, strict=True)
    ]


def test_normalise_takes_grey_levels():
    backbone = build_backbone("efficientnet_lite0", "none")
    image = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert torch.allclose(backbone.normalise(image)[0, 0, 0], torch.tensor([-127 / 128, 0, 1.0]))
    assert backbone.normalise(image).dtype == torch.float32


def test_frozen_stages_neither_learn_nor_move_their_statistics():
    backbone = build_backbone("efficientnet_lite0", "none", 32)
    backbone.freeze_stages(3)
    backbone.train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))[-1].square().mean().backward()
    torch.optim.SGD([p for p in backbone.parameters() if p.grad is not None], lr=0.1).step()
    changed = {key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert not [key for key in changed if key.startswith(("network.conv_stem", "network.bn1", "network.blocks.0."))]
    assert not [key for key in changed if key.startswith(("network.blocks.1.", "network.blocks.2."))]
    assert any(key.startswith("network.blocks.3.") for key in changed)


def test_all_stages_together_hold_every_parameter():
    for name in ("efficientnet_lite0", "resnet50"):
        backbone = build_backbone(name, "none", 32)
        assert len(backbone.stages()) == len(backbone.channels)
        parameters = {id(p) for stage in backbone.stages() for module in stage for p in module.parameters()}
        assert parameters == {id(p) for p in backbone.parameters()}


def test_norm_statistics_can_be_frozen_alone():
    backbone = build_backbone("efficientnet_lite0", "none", 32)
    backbone.freeze_norm_statistics()
    backbone.train()
    assert not any(m.training for m in backbone.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(p.requires_grad for p in backbone.parameters())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_by_path(tmp_path: Path, suffix: str):
    state = {k: v.contiguous() for k, v in rename_lite0_keys(read_state_dict(lite0_weights_path())).items()}
    state["conv_stem.weight"] = state["conv_stem.weight"] + 1
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    backbone = build_backbone("efficientnet_lite0", path)
    assert torch.equal(backbone.network.conv_stem.weight, state["conv_stem.weight"])


def test_loading_errors_name_the_file(tmp_path: Path):
    with pytest.raises(ApsamError, match="absent.pth"):
        build_backbone("efficientnet_lite0", tmp_path / "absent.pth")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    with pytest.raises(ApsamError, match="broken.safetensors"):
        build_backbone("efficientnet_lite0", broken)
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    with pytest.raises(ApsamError, match="do not fit"):
        build_backbone("efficientnet_lite0", other)
    with pytest.raises(ApsamError, match="unknown backbone"):
        build_backbone("vgg", "none")
    with pytest.raises(ApsamError, match="stride"):
        build_backbone("resnet50", "none", 64)
