"""Operations on logit maps shared by several methods. Maps are (B, 1, h, w) unless stated otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5


def normalise_by_max(maps: Tensor) -> Tensor:
    """Divide the positive part of every map by its maximum, 0..1."""
    positive = functional.relu(maps)
    return positive / (positive.amax(dim=(-2, -1), keepdim=True) + EPSILON)


def min_max(maps: Tensor) -> Tensor:
    """Stretch the positive part of every map from its minimum to its maximum, 0..1."""
    positive = functional.relu(maps)
    least = positive.amin(dim=(-2, -1), keepdim=True)
    return (positive - least) / (positive.amax(dim=(-2, -1), keepdim=True) - least + EPSILON)


def with_background(foreground: Tensor) -> Tensor:
    """Return channels (B, 2, h, w): background as 1 - foreground, and foreground."""
    return torch.cat([1 - foreground, foreground], dim=1)


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps (B, C, ...) bilinearly to (h, w)."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


def no_loss(like: Tensor) -> Tensor:
    """Return a differentiable zero, for a batch without tiles that have this loss."""
    return like.sum() * 0.0
