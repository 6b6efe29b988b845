"""Augmentation of training batches on the device: the eight symmetries of the square, and colour."""

from __future__ import annotations

import torch
from torch import Tensor

BRIGHTNESS = 0.15
CONTRAST = (0.75, 1.3)
CHANNEL_GAIN = (0.9, 1.1)
GAMMA = (0.8, 1.25)


def dihedral(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate and mirror every image of a batch, with its mask, by one of the eight symmetries of the square.

    Args:
        image: (b, 3, s, s).
        mask: (b, s, s).
    """
    codes = torch.randint(8, (len(image),)).tolist()
    images = [_symmetry(one, code) for one, code in zip(image, codes, strict=True)]
    masks = [_symmetry(one, code) for one, code in zip(mask, codes, strict=True)]
    return torch.stack(images), torch.stack(masks)


def _symmetry(x: Tensor, code: int) -> Tensor:
    """Symmetry `code` (0 to 7) of the last two axes: quarter turns, mirrored from 4 on."""
    x = torch.rot90(x, code % 4, (-2, -1))
    return x.flip(-1) if code >= 4 else x


def colour(image: Tensor) -> Tensor:
    """Vary brightness, contrast, gamma and colour balance of every image. (b, 3, h, w) in [0, 1], as is the result."""

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.empty(len(image), channels, 1, 1).uniform_(low, high).to(image)

    image = image.clamp(1e-4, 1) ** draw(*GAMMA) * draw(*CHANNEL_GAIN, channels=3)
    mean = image.mean((1, 2, 3), keepdim=True)
    return ((image - mean) * draw(*CONTRAST) + mean + draw(-BRIGHTNESS, BRIGHTNESS)).clamp(0, 1)
