"""Random augmentation of training tiles, computed on whole batches on any device."""

from __future__ import annotations

import math
from typing import overload

import torch
from torch import Tensor
from torch.nn import functional

from apsam.localizer.settings import AugmentationSettings

OCCLUDED_SIDE = (0.15, 0.4)  # of the view's side
SIDE_MULTIPLE = 32


def augment(images: Tensor, settings: AugmentationSettings, generator: torch.Generator) -> Tensor:
    """Draw one view of every tile: rotation, zoom and shift in one resampling, then colours, then occlusion.

    If the landslide is centred in every training tile, a network learns to look at the centre (a box there has a
    mean IoU of 0.46 on Bijie without any network); shift and zoom prevent this. Pixels of a view outside
    the tile are mirrored, so that no border reveals the shift.

    Args:
        images: (B, 3, H, W) RGB, 0..255, uint8 or float; H = W where `dihedral` is on.
        settings: Kinds and sizes of the changes.
        generator: Random numbers, on the CPU, so that all devices have the same views.

    Returns:
        (B, 3, h, w) float32 in 0..255; h and w are the multiples of 32 nearest to `view` times H and W.
    """
    return augment_with_maps(images, None, settings, generator)[0]


@overload
def augment_with_maps(
    images: Tensor, maps: Tensor, settings: AugmentationSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]: ...
@overload
def augment_with_maps(
    images: Tensor, maps: None, settings: AugmentationSettings, generator: torch.Generator
) -> tuple[Tensor, None]: ...
def augment_with_maps(
    images: Tensor, maps: Tensor | None, settings: AugmentationSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Like `augment`, but also transform maps of values per pixel.

    Args:
        images: As for `augment`.
        maps: (B, H, W) of whole numbers below 2^24, such as superpixels; None: none.
        settings: Kinds and sizes of the changes.
        generator: Random numbers, on the CPU.

    Returns:
        The views of `augment`, and the maps (B, h, w) of their dtype, resampled to the nearest pixel.
    """
    grid = _sampling_grid(images, settings, generator)
    views = functional.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    if maps is not None:
        drawn = functional.grid_sample(
            maps[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
        )
        maps = drawn[:, 0].to(maps.dtype)
    if settings.colour:
        views = _recolour(views, settings.colour, generator)
    if settings.occlusion:
        views = _occlude(views, settings.occlusion, generator)
    return views, maps


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def _sampling_grid(images: Tensor, settings: AugmentationSettings, generator: torch.Generator) -> Tensor:
    """Return the pixel positions of every view in its tile, (B, h, w, 2) for `grid_sample`."""
    count = len(images)
    low, high = settings.zoom
    zoom = torch.exp(_uniform((count,), math.log(low), math.log(high), generator))
    shift = _uniform((count, 2, 1), -2 * settings.shift, 2 * settings.shift, generator)
    turns = torch.randint(0, 4, (count,), generator=generator) * (math.pi / 2)
    mirror = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1.0
    if not settings.dihedral:
        turns, mirror = torch.zeros(count), torch.ones(count)
    cosine, sine = torch.cos(turns).round(), torch.sin(turns).round()
    turn = torch.stack([cosine * mirror, -sine, sine * mirror, cosine], dim=1).view(count, 2, 2)
    sides = [
        max(SIDE_MULTIPLE, round(side * settings.view / SIDE_MULTIPLE) * SIDE_MULTIPLE) for side in images.shape[-2:]
    ]
    reach = torch.tensor([sides[1] / images.shape[3], sides[0] / images.shape[2]])  # of x and y of the view
    matrices = torch.cat([turn * reach / zoom.view(-1, 1, 1), shift], dim=2).to(images.device)
    return functional.affine_grid(matrices, [count, images.shape[1], *sides], align_corners=False)


def _recolour(images: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    brightness, contrast, saturation = (
        _uniform((len(images), 1, 1, 1), 1 - amount, 1 + amount, generator).to(images.device) for _ in range(3)
    )
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * contrast + mean
    grey = images.mean(dim=1, keepdim=True)
    return ((images - grey) * saturation + grey).clamp(0, 255)


def _occlude(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Paint a square of the tile's mean colour over some of the tiles."""
    count, _, height, width = images.shape
    hit = torch.rand((count,), generator=generator) < probability
    side = _uniform((count,), *OCCLUDED_SIDE, generator)
    corner = torch.rand((count, 2), generator=generator) * (1 - side[:, None])
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    inside_rows = (rows >= corner[:, :1]) & (rows < corner[:, :1] + side[:, None])
    inside_columns = (columns >= corner[:, 1:]) & (columns < corner[:, 1:] + side[:, None])
    square = (inside_rows[:, None, :, None] & inside_columns[:, None, None, :] & hit.view(-1, 1, 1, 1)).to(
        images.device
    )
    return torch.where(square, images.mean(dim=(2, 3), keepdim=True), images)
