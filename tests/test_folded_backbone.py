"""The folded backbone is the same function, is used if no weights are trained, and follows changed weights."""

import copy

import pytest
import torch
from torch import nn

from apsam.backbones.build import build_backbone
from apsam.backbones.efficientnet_lite import SameConv2d
from apsam.backbones.folded import EvenlyPadded, FoldedBackbone
from apsam.localizer.model import Localizer
from apsam.localizer.settings import LocalizerSettings


def backbone_of(name, stride=16, seed=0):
    torch.manual_seed(seed)
    weights = "imagenet" if name == "efficientnet_lite0" else "none"
    backbone = build_backbone(name, weights, stride).eval()
    for module in backbone.modules():  # those of random weights are 0 and 1
        if isinstance(module, nn.BatchNorm2d) and weights == "none":
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return backbone


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("side", [(64, 64), (96, 160), (63, 97)])
@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50"])
def test_it_is_the_same_function(name, stride, side):
    backbone, images = backbone_of(name, stride), torch.randn(3, 3, *side)
    with torch.no_grad():
        expected, found = backbone.network(images), FoldedBackbone(backbone.network)(images)
    assert [each.shape for each in found] == [each.shape for each in expected]
    assert max(map(relative, found, expected)) < 1e-5
    assert not any(isinstance(module, nn.BatchNorm2d) for module in FoldedBackbone(backbone.network).modules())


def test_batches_do_not_matter(monkeypatch):
    backbone, images = backbone_of("efficientnet_lite0"), torch.randn(5, 3, 64, 64)
    folded = FoldedBackbone(backbone.network)
    whole = folded(images)
    monkeypatch.setattr("apsam.backbones.folded.CPU_PIXELS", 2 * 64 * 64)
    assert max(map(relative, folded(images), whole)) < 1e-6


@pytest.mark.parametrize(("kernel", "side"), [(3, 8), (5, 8), (7, 12), (3, 9), (5, 7)])
def test_uneven_padding_without_a_copy(kernel, side):
    same = SameConv2d(4, 4, kernel, stride=2, groups=4)
    images = torch.randn(2, 4, side, side + 2)
    torch.testing.assert_close(EvenlyPadded(same)(images), same(images))


def test_a_frozen_backbone_is_folded_in_training_too():
    localizer = Localizer(LocalizerSettings()).train()
    images = torch.randint(0, 256, (2, 3, 64, 64)).float()
    assert localizer.backbone._is_constant()
    maps = localizer(images)
    expected = localizer.head(localizer.backbone.network(localizer.backbone.normalise(images)))
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4)
    maps.sum().backward()
    assert all(weight.grad is not None for weight in localizer.head.parameters())


def test_a_backbone_that_learns_is_not_folded():
    localizer = Localizer(LocalizerSettings(frozen_stages=1)).train()
    images = torch.randint(0, 256, (2, 3, 64, 64)).float()
    assert not localizer.backbone._is_constant()
    sum(each.sum() for each in localizer.features(images)).backward()
    assert any(weight.grad is not None for weight in localizer.backbone.parameters())
    with torch.no_grad():
        assert localizer.backbone._is_constant()


def test_batch_norms_that_learn_their_statistics_are_not_folded():
    backbone = build_backbone("efficientnet_lite0", "none").train().requires_grad_(False)
    before = copy.deepcopy(backbone.state_dict())
    backbone(torch.randn(2, 3, 64, 64))
    assert any(not torch.equal(before[key], value) for key, value in backbone.state_dict().items())


def test_changed_weights_are_followed():
    backbone, images = backbone_of("efficientnet_lite0"), torch.randn(1, 3, 64, 64)
    keys = list(backbone.state_dict())
    with torch.no_grad():
        first = backbone(images)
        other = {key: value * 1.1 for key, value in backbone.state_dict().items() if value.is_floating_point()}
        backbone.load_state_dict(other, strict=False)
        assert relative(backbone(images)[0], backbone.network(images)[0]) < 1e-5
        assert relative(backbone(images)[0], first[0]) > 0.01
        backbone.network.get_parameter(next(name for name, _ in backbone.network.named_parameters())).data.mul_(1.1)
        assert relative(backbone(images)[0], backbone.network(images)[0]) < 1e-5, "also past torch's own bookkeeping"
        copied = copy.deepcopy(backbone)
        assert relative(copied(images)[0], backbone(images)[0]) < 1e-6
    assert list(backbone.state_dict()) == keys
