"""Augmentation of training batches on the device: the eight symmetries of the square, views, and colour."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

BRIGHTNESS = 0.15
CONTRAST = (0.75, 1.3)
CHANNEL_GAIN = (0.9, 1.1)
GAMMA = (0.8, 1.25)
# Share of the images that are replaced by a view; the others stay whole, as they are when a map is predicted.
VIEWS = 0.5


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


def random_views(image: Tensor, mask: Tensor, zoom: float) -> tuple[Tensor, Tensor]:
    """Replace half of the images of a batch by a part of them at a random place, enlarged to the same size.

    Args:
        image: (b, 3, s, s) float.
        mask: (b, s, s), sampled at the nearest pixel.
        zoom: Largest magnification; drawn log-uniformly from 1 on.
    """
    count = len(image)
    share = torch.exp(-torch.rand(count) * math.log(zoom)).where(torch.rand(count) < VIEWS, torch.ones(count))
    transform = torch.zeros(count, 2, 3)
    transform[:, 0, 0] = transform[:, 1, 1] = share
    transform[:, :, 2] = (2 * torch.rand(count, 2) - 1) * (1 - share)[:, None]
    grid = functional.affine_grid(transform.to(image), list(image.shape), align_corners=False)
    views = functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    labels = mask[:, None].to(image.dtype)
    labels = functional.grid_sample(labels, grid, mode="nearest", padding_mode="border", align_corners=False)
    return views, labels[:, 0].to(mask.dtype)


def colour(image: Tensor) -> Tensor:
    """Vary brightness, contrast, gamma and colour balance of every image. (b, 3, h, w) in [0, 1], as is the result."""

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.empty(len(image), channels, 1, 1).uniform_(low, high).to(image)

    image = image.clamp(1e-4, 1) ** draw(*GAMMA) * draw(*CHANNEL_GAIN, channels=3)
    mean = image.mean((1, 2, 3), keepdim=True)
    return ((image - mean) * draw(*CONTRAST) + mean + draw(-BRIGHTNESS, BRIGHTNESS)).clamp(0, 1)
