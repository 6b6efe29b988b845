"""Refine class activation maps without training, by the tile's own landslide and background pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

GRID = 64
STAGES = (1, 2)
FOREGROUND = 0.6
BACKGROUND = 0.2
SHARPNESS = 10.0


def refine_by_prototypes(maps: Tensor, stages: Sequence[Tensor]) -> Tensor:
    """Multiply each map by the similarity of every pixel's features to landslide rather than background.

    There are two prototypes per tile: the mean feature where the map is above 0.6, and where it is below 0.2. A
    pixel's weight is a sigmoid of its cosine with their difference. Features are those of the middle stages
    of the localizer's backbone, which are finer than its last one.

    Args:
        maps: (B, H, W) in 0..1.
        stages: Backbone features, shallow to deep.

    Returns:
        (B, H, W), not negative; tiles without either kind of pixel are not changed.
    """
    features = torch.cat(
        [
            functional.normalize(
                functional.interpolate(stages[i].float(), (GRID, GRID), mode="bilinear", align_corners=False),
                dim=1,
            )
            for i in STAGES
        ],
        dim=1,
    )
    coarse = functional.interpolate(maps[:, None], (GRID, GRID), mode="bilinear", align_corners=False)
    landslide, background = coarse > FOREGROUND, coarse < BACKGROUND
    difference = _prototype(features, landslide) - _prototype(features, background)
    centred = features - features.mean(dim=(2, 3), keepdim=True)
    weight = torch.sigmoid(SHARPNESS * functional.cosine_similarity(centred, difference, dim=1))[:, None]
    both = landslide.flatten(1).any(dim=1) & background.flatten(1).any(dim=1)
    weight = torch.where(both.view(-1, 1, 1, 1), weight, torch.ones_like(weight))
    return maps * functional.interpolate(weight, maps.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def _prototype(features: Tensor, where: Tensor) -> Tensor:
    """Mean feature (B, C, 1, 1) over the pixels of `where` (B, 1, h, w)."""
    count = where.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    return (features * where).sum(dim=(2, 3), keepdim=True) / count
