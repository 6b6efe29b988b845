"""Deep residual U-Net with pyramid pooling, one logit per pixel.

The network of the paper's code: residual units of Zhang, Liu and Wang, "Road Extraction by Deep
Residual U-Net" (GRSL 2018), between encoder and decoder the pooled bins of Zhao et al., "Pyramid Scene Parsing Network"
(CVPR 2017), and skip connections fused by concatenation, 1 x 1 convolution and batch normalisation, as in ResUNet-a
(Diakogiannis et al., ISPRS 2020). With widths 32-64-128-256-512 it has 12.42 M parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apsam.resunet.settings import ResUNetSettings
from apsam.resunet.units import InputUnit, ResidualUnit

if TYPE_CHECKING:
    from apsam.resunet.lite_encoder import LiteEncoder


class ResidualEncoder(nn.Module):
    """Five levels of residual units at strides 1, 2, 4, 8, 16, trained from scratch on images scaled to [0, 1]."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(widths)
        self.input = InputUnit(3, widths[0])
        self.down = nn.ModuleList(ResidualUnit(a, b, stride=2) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, image: Tensor) -> list[Tensor]:
        """(b, 3, h, w) in [0, 1] -> features of the five levels, finest first."""
        features = [self.input(image)]
        for unit in self.down:
            features.append(unit(features[-1]))
        return features


class PyramidPooling(nn.Module):
    """Averages over 1 x 1, 2 x 2, 3 x 3 and 6 x 6 bins, each reduced to `width` channels and interpolated back.

    Args:
        inputs: Channels of the features.
        width: Channels of one bin size.
        bins: Numbers of bins per side.
        keep_input: Append the pooled features to the features themselves, as in PSPNet. The paper's code returns
            only the pooled ones.
    """

    def __init__(self, inputs: int, width: int, bins: Sequence[int], keep_input: bool) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.keep_input = keep_input
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()) for _ in bins
        )
        self.channels = width * len(self.bins) + (inputs if keep_input else 0)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, `channels`, h, w)."""
        size = x.shape[-2:]
        pooled = [
            F.interpolate(reduce(_average(x, bins)), size, mode="bilinear", align_corners=True)
            for bins, reduce in zip(self.bins, self.reduce, strict=True)
        ]
        return torch.cat([x, *pooled] if self.keep_input else pooled, dim=1)


def _average(x: Tensor, bins: int) -> Tensor:
    """Adaptive average pooling to bins x bins as two matrix products: deterministic in the backward pass on CUDA."""
    rows = _bin_matrix(x.shape[-2], bins, x)
    columns = _bin_matrix(x.shape[-1], bins, x)
    return rows @ x @ columns.T


def _bin_matrix(length: int, bins: int, like: Tensor) -> Tensor:
    """(bins, length) weights: row i averages over floor(i*length/bins) to ceil((i+1)*length/bins)."""
    matrix = like.new_zeros(bins, length)
    for i in range(bins):
        start, stop = i * length // bins, -(-(i + 1) * length // bins)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


class DecoderBlock(nn.Module):
    """One decoder level: upsample by 2, fuse with the encoder's features of that level, residual unit."""

    def __init__(self, inputs: int, skip: int, width: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, width, 2, stride=2)
        self.fuse = nn.Sequential(nn.Conv2d(width + skip, width, 1, bias=False), nn.BatchNorm2d(width))
        self.unit = ResidualUnit(width, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(b, inputs, h, w) and (b, skip, 2h, 2w) -> (b, outputs, 2h, 2w)."""
        return self.unit(self.fuse(torch.cat([self.up(x), skip], dim=1)))


class ResUNet(nn.Module):
    """Encoder, pyramid pooling, decoder, one logit.

    Args:
        encoder: Returns five feature maps at strides 1, 2, 4, 8, 16; its `channels` are their numbers of channels.
        widths: Decoder channels at strides 1, 2, 4, 8, 16.
        pyramid_width: Channels of one pyramid bin size.
        pyramid_bins: Numbers of bins per side.
        pyramid_keeps_input: See `PyramidPooling`.
        input_scale: The image is resized by this factor before the network, and the logits are resized back.
    """

    def __init__(
        self,
        encoder: ResidualEncoder | LiteEncoder,
        widths: Sequence[int],
        pyramid_width: int,
        pyramid_bins: Sequence[int],
        pyramid_keeps_input: bool,
        input_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.input_scale = input_scale
        self.encoder = encoder
        self.pyramid = PyramidPooling(encoder.channels[-1], pyramid_width, pyramid_bins, pyramid_keeps_input)
        inputs = [self.pyramid.channels, *reversed(widths[1:-1])]
        self.rises = nn.ModuleList(
            DecoderBlock(inputs[i], encoder.channels[3 - i], widths[4 - i], widths[3 - i]) for i in range(4)
        )
        self.refine = ResidualUnit(widths[0], widths[0])
        self.head = ResidualUnit(widths[0], 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of "landslide".

        Args:
            image: (b, 3, h, w) float RGB in [0, 1]; any h and w, padded to multiples of 16 inside.

        Returns:
            (b, 1, h, w) logits.
        """
        size = image.shape[-2:]
        if self.input_scale != 1:
            image = F.interpolate(image, scale_factor=self.input_scale, mode="area")
        height, width = image.shape[-2:]
        image = F.pad(image, (0, -width % 16, 0, -height % 16), mode="replicate")
        *skips, x = self.encoder(image)
        x = self.pyramid(x)
        for rise, skip in zip(self.rises, reversed(skips), strict=True):
            x = rise(x, skip)
        logits = self.head(self.refine(x))[..., :height, :width]
        if self.input_scale != 1:
            logits = F.interpolate(logits, size, mode="bilinear")
        return logits


def build_resunet(settings: ResUNetSettings, pretrained: bool = True) -> ResUNet:
    """Build the network of `settings`.

    Args:
        settings: Encoder, widths and pyramid.
        pretrained: Load ImageNet weights if the encoder has them; not needed if trained weights are loaded.
    """
    if settings.encoder == "residual":
        encoder: ResidualEncoder | LiteEncoder = ResidualEncoder(settings.widths)
    else:
        from apsam.resunet.lite_encoder import LiteEncoder

        encoder = LiteEncoder(settings.widths[0], pretrained)
    return ResUNet(
        encoder,
        settings.widths,
        settings.pyramid_width,
        settings.pyramid_bins,
        settings.pyramid_keeps_input,
        settings.input_scale,
    )
