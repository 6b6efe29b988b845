"""Encoder of the ResUNet from EfficientNet-Lite0 with its ImageNet weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from apsam.backbones.build import build_backbone
from apsam.backbones.efficientnet_lite import EfficientNetLite0
from apsam.resunet.units import InputUnit

STAGES = 4  # strides 2, 4, 8, 16; the deepest stage (stride 32) would double the weights and is not needed


class FixedDepthwise(nn.Module):
    """A depthwise convolution that keeps its pretrained weights, in float32 on the CPU.

    Measured (torch 2.13, one core, 240 channels of 16 x 16, 5 x 5, batch of 8): the backward pass takes 11.9 ms in
    bfloat16, 4.7 ms in float32, 0.6 ms without the gradient of the weights; strided ones take 20 ms in bfloat16, 2.8 ms
    in float32. The rest of the network is twice as fast in bfloat16.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h / stride, w / stride)."""
        if x.device.type != "cpu":
            return self.convolution(x)
        with torch.autocast("cpu", enabled=False):
            return self.convolution(x.float())


class LiteEncoder(nn.Module):
    """An input unit at full resolution, and EfficientNet-Lite0 at strides 2, 4, 8, 16.

    Args:
        width: Channels of the full-resolution level, which Lite0 does not have.
        pretrained: Load the ImageNet weights that come with the package.
    """

    def __init__(self, width: int, pretrained: bool = True) -> None:
        super().__init__()
        backbone = build_backbone("efficientnet_lite0", "imagenet" if pretrained else "none")
        self.channels = (width, *backbone.channels[:STAGES])
        self.mean, self.std = backbone.mean[0], backbone.std[0]
        self.input = InputUnit(3, width)
        assert isinstance(backbone.network, EfficientNetLite0)
        for block in backbone.network.blocks.modules():
            if isinstance(depthwise := getattr(block, "conv_dw", None), nn.Conv2d):
                block.conv_dw = FixedDepthwise(depthwise)
        self.stages = nn.ModuleList(nn.Sequential(*stage) for stage in backbone.stages()[:STAGES])

    def forward(self, image: Tensor) -> list[Tensor]:
        """(b, 3, h, w) in [0, 1] -> features at strides 1, 2, 4, 8, 16."""
        x = (image * 255 - self.mean) / self.std
        features = [self.input(x)]
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
