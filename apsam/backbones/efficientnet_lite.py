"""EfficientNet-Lite0 as a feature extractor (Tan and Le 2019; the Lite variant of TensorFlow's TPU models).

The network is timm's `tf_efficientnet_lite0` with `features_only`: the same names of parameters, the same function and
the same initial weights for a seed (tests/test_backbones.py). It is a separate module, because timm requires a client
of the Hugging Face hub, which mapping a scene does not need.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

STEM = 32  # channels
# Of each group of blocks: blocks, kernel, stride of the first, expansion, channels.
GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# Groups before which the resolution decreases end a stage, as does the last: its output is a map of the pyramid.
STAGE_ENDS = (0, 1, 2, 4, 6)
BATCH_NORM_EPSILON = 1e-3  # TensorFlow's


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: ceil(side / stride) output pixels, the odd pixel padded last."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        sides = zip(x.shape[-2:], self.kernel_size, self.stride, self.dilation, strict=True)
        rows, columns = (
            max((math.ceil(side / stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
            for side, kernel, stride, dilation in sides
        )
        padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return super().forward(functional.pad(x, padding))


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm without the activation that may follow: trainings on several GPUs put another class in its place."""
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)


def activation() -> nn.Module:
    """ReLU6, in place."""
    return nn.ReLU6(inplace=True)


def convolution(
    inward: int, outward: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution with "same" padding and no bias."""
    if stride == 1:  # even padding does
        padding = dilation * (kernel - 1) // 2
        return nn.Conv2d(inward, outward, kernel, padding=padding, dilation=dilation, groups=groups, bias=False)
    return SameConv2d(inward, outward, kernel, stride, dilation=dilation, groups=groups, bias=False)


class SeparableBlock(nn.Module):
    """The first block: a depthwise convolution and a projection, without an expansion before them.

    It begins with the stem's activation, so that the stem is a convolution and a batch norm: networks made of the
    stages number their modules, and stored weights are named by these numbers.
    """

    def __init__(self, inward: int, outward: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.stem_act = activation()
        self.conv_dw = convolution(inward, inward, kernel, stride, dilation, groups=inward)
        self.bn1 = batch_norm(inward)
        self.act1 = activation()
        self.conv_pw = convolution(inward, outward, 1)
        self.bn2 = batch_norm(outward)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inward, H, W), which is changed, -> (B, outward, H / stride, W / stride)."""
        y = self.act1(self.bn1(self.conv_dw(self.stem_act(x))))
        return self.bn2(self.conv_pw(y))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection; added to the input where shapes are equal (MobileNetV2's block)."""

    def __init__(self, inward: int, outward: int, kernel: int, stride: int, dilation: int, expansion: int) -> None:
        super().__init__()
        wide = inward * expansion
        self.has_skip = inward == outward and stride == 1
        self.conv_pw = convolution(inward, wide, 1)
        self.bn1 = batch_norm(wide)
        self.act1 = activation()
        self.conv_dw = convolution(wide, wide, kernel, stride, dilation, groups=wide)
        self.bn2 = batch_norm(wide)
        self.act2 = activation()
        self.conv_pwl = convolution(wide, outward, 1)
        self.bn3 = batch_norm(outward)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inward, H, W) -> (B, outward, H / stride, W / stride)."""
        y = self.act1(self.bn1(self.conv_pw(x)))
        y = self.act2(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.has_skip else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier.

    Attributes:
        channels: Channels of the maps, shallow to deep.
        strides: Input pixels per pixel of each map.

    Args:
        output_stride: Stride of the deepest map, 8, 16 or 32 (below 32 by dilation instead of strides).
    """

    def __init__(self, output_stride: int = 32) -> None:
        super().__init__()
        self.conv_stem = convolution(3, STEM, 3, stride=2)
        self.bn1 = batch_norm(STEM)  # its activation is in the first block
        for _ in range(2):  # timm draws weights of two unused layers here; drawing them keeps seeds compatible
            nn.Conv2d(8, 8, 1)
        self.channels: list[int] = []
        self.strides: list[int] = []
        groups, inward, stride_here, dilation = [], STEM, 2, 1
        for number, (depth, kernel, group_stride, expansion, outward) in enumerate(GROUPS):
            blocks: list[nn.Module] = []
            for index in range(depth):
                stride, dilation_after = group_stride if index == 0 else 1, dilation
                if stride_here * stride > output_stride:
                    stride, dilation_after = 1, dilation * stride
                stride_here *= stride
                shape = (inward, outward, kernel, stride, dilation)
                blocks.append(SeparableBlock(*shape) if expansion == 1 else InvertedResidual(*shape, expansion))
                inward, dilation = outward, dilation_after
            groups.append(nn.Sequential(*blocks))
            if number in STAGE_ENDS:
                self.channels.append(outward)
                self.strides.append(stride_here)
        self.blocks = nn.Sequential(*groups)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W) to one map (B, channels[i], H / strides[i], W / strides[i]) a stage."""
        x = self.bn1(self.conv_stem(image))
        maps = []
        for number, group in enumerate(self.blocks):
            x = group(x)
            if number in STAGE_ENDS:
                maps.append(x)
        return maps

    def stages(self) -> list[list[nn.Module]]:
        """Return the modules of every stage; the first includes the stem."""
        found: list[list[nn.Module]] = []
        pending: list[nn.Module] = [self.conv_stem, self.bn1]
        for number, group in enumerate(self.blocks):
            pending.append(group)
            if number in STAGE_ENDS:
                found.append(pending)
                pending = []
        return found
