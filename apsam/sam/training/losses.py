"""Losses of promptable segmentation: cross entropy and Dice for masks, squared error for the predicted IoU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy plus Dice of every mask.

    Args:
        logits: (N, M, H, W) float32.
        target: (N, 1, H, W) share of the pixel that belongs to the object, 0..1.

    Returns:
        (N, M) losses.
    """
    target = target.expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((2, 3))
    share = logits.sigmoid()
    overlap = (share * target).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (share.sum((2, 3)) + target.sum((2, 3)) + 1)
    return 2 * entropy + dice


def intersection_over_union(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of (logits > 0) with (target > 0.5): (N, M)."""
    found, wanted = logits > 0, target > 0.5
    return (found & wanted).sum((2, 3)) / (found | wanted).sum((2, 3)).clamp(min=1)


def promptable_loss(logits: Tensor, predicted_iou: Tensor, target: Tensor) -> Tensor:
    """Loss of SAM's four masks: the first by itself, of the other three the best one (Kirillov et al. 2023).

    Args:
        logits: (N, 4, H, W) float32.
        predicted_iou: (N, 4) float32.
        target: (N, 1, H, W), 0..1.

    Returns:
        Scalar, mean over prompts.
    """
    losses = mask_loss(logits, target)
    best_of_three = losses[:, 1:].min(1).values
    with torch.no_grad():
        iou = intersection_over_union(logits, target)
    quality = (predicted_iou - iou).square().mean(1)
    return (losses[:, 0] + 0.5 * best_of_three + quality).mean()
