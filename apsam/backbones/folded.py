"""A frozen feature extractor computed faster: batch norms folded into convolutions, padding without copies.

A batch norm that keeps its statistics is a linear map of each channel, as is the convolution before it: together they
are one convolution (`torch.nn.utils.fusion`). TensorFlow's "same" padding of convolutions with stride 2 is uneven,
0 before and 1 after for a kernel of 3. It requires copying the whole input into a larger, zeroed tensor;
a kernel with a leading row and column of zeros gives the same result with even padding and no copy.

The function is the same: only the order of floating-point sums differs (`python -m benchmarks.bench_backbone`).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from apsam.backbones.efficientnet_lite import SameConv2d
from apsam.backbones.norms import NORMS

# Pixels of a batch whose widest layer fits about into a CPU's caches; images of a batch are independent.
CPU_PIXELS = 2 * 256 * 256


class FoldedBackbone(nn.Module):
    """A copy of a network of convolutions, batch norms and activations for inference.

    Args:
        network: Of `apsam.backbones`, with batch norms that keep their statistics. Later changes of it have no effect.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        _fold(self.network)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's overloads leave memory_format out

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute one map per stage from normalised images (B, 3, H, W)."""
        images = images.contiguous(memory_format=torch.channels_last)
        few = max(1, CPU_PIXELS // (images.shape[-2] * images.shape[-1]))
        if images.device.type != "cpu" or len(images) <= few:
            return self.network(images)
        parts = [self.network(part) for part in images.split(few)]
        return [torch.cat(maps) for maps in zip(*parts, strict=True)]


class EvenlyPadded(nn.Module):
    """A convolution with stride 2 and "same" padding, without a padded copy of images with even sides."""

    def __init__(self, convolution: SameConv2d) -> None:
        super().__init__()
        self.same = convolution
        self.weight = nn.Parameter(functional.pad(convolution.weight, (1, 0, 1, 0)), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / 2, W / 2), sides rounded up."""
        if x.shape[-2] % 2 or x.shape[-1] % 2:
            return self.same(x)
        padding = self.same.kernel_size[0] // 2
        return functional.conv2d(x, self.weight, self.same.bias, stride=2, padding=padding, groups=self.same.groups)


def _fold(module: nn.Module) -> None:
    """Fold every batch norm of `module` into the preceding convolution, in place."""
    before: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, NORMS):
            if before is None or not isinstance(before[1], nn.Conv2d) or before[1].out_channels != child.num_features:
                raise ValueError(f"no convolution before the batch norm '{name}' of {type(module).__name__}")
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, nn.Identity())
            before = None
        elif isinstance(child, nn.Conv2d):
            before = name, child
        elif not isinstance(child, nn.Identity):
            _fold(child)
    for name, child in list(module.named_children()):
        if isinstance(child, SameConv2d) and _can_be_even(child):
            setattr(module, name, EvenlyPadded(child))


def _can_be_even(convolution: nn.Conv2d) -> bool:
    kernel, stride = convolution.kernel_size, convolution.stride
    return stride == (2, 2) and convolution.dilation == (1, 1) and kernel[0] == kernel[1] and kernel[0] % 2 == 1
