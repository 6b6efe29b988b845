"""Small things that several methods do with logit maps. Maps are (B, 1, h, w) unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5


def normalise_by_max(maps: Tensor) -> Tensor:
    """Positive evidence of every map over its own maximum, 0..1."""
    positive = functional.relu(maps)
    return positive / (positive.amax(dim=(-2, -1), keepdim=True) + EPSILON)


def min_max(maps: Tensor) -> Tensor:
    """Positive evidence of every map, stretched from its least to its most, 0..1."""
    positive = functional.relu(maps)
    least = positive.amin(dim=(-2, -1), keepdim=True)
    return (positive - least) / (positive.amax(dim=(-2, -1), keepdim=True) - least + EPSILON)


def with_background(foreground: Tensor) -> Tensor:
    """Channels (B, 2, h, w): background as 1 less foreground, and foreground."""
    return torch.cat([1 - foreground, foreground], dim=1)


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, to (h, w); of maps (B, C, ...)."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


def no_loss(like: Tensor) -> Tensor:
    """Zero that can be differentiated, for a batch without a tile to measure on."""
    return like.sum() * 0.0
