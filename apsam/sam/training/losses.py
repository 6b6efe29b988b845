"""Losses of promptable segmentation: cross entropy and Dice for masks, squared error for the predicted IoU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 4


class _MaskLoss(torch.autograd.Function):
    """2 x cross entropy + Dice with the gradient written out: two passes over the logits instead of a dozen."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        share = logits.sigmoid()
        entropy = (functional.softplus(logits).sum(-1) - (logits * target).sum(-1)) / logits.shape[-1]
        overlap, both = (share * target).sum(-1), share.sum(-1) + target.sum(-1) + 1
        ctx.save_for_backward(share, target, overlap, both)
        return 2 * entropy + 1 - (2 * overlap + 1) / both

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        share, target, overlap, both = ctx.saved_tensors
        of_entropy = (share - target) * (2 / share.shape[-1])
        # d/ds of -(2 sum(s t) + 1) / (sum(s) + sum(t) + 1), times ds/dlogit = s (1 - s)
        slope = ((2 * overlap + 1) / both.square())[..., None] - target * (2 / both)[..., None]
        return (of_entropy + slope * (share - share.square())) * gradient[..., None], None


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy plus Dice of every mask.

    Args:
        logits: (N, M, P) float32.
        target: (N, 1, P) share of the pixel that belongs to the object, 0..1.

    Returns:
        (N, M) losses.
    """
    return _MaskLoss.apply(logits, target)


def intersection_over_union(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of (logits > 0) with (target > 0.5): (N, M, P) and (N, 1, P) to (N, M)."""
    found, wanted = logits > 0, target > 0.5
    return (found & wanted).sum(-1) / (found | wanted).sum(-1).clamp(min=1)


def promptable_loss(vectors: Tensor, pixels: Tensor, predicted_iou: Tensor, target: Tensor) -> Tensor:
    """Loss of SAM's four masks: the first by itself, and the best of the other three (Kirillov et al. 2023).

    The best of the three, and every mask's IoU, are computed first, without gradients and on every fourth pixel;
    then only two masks need gradients.

    Args:
        vectors: (N, 4, C) of the masks, whose logits are the products with
        pixels: (N, P, C), in the order of `decoder.fold_detail`: four neighbours follow each other.
        predicted_iou: (N, 4).
        target: (N, P) float32, 0..1, in the same order.

    Returns:
        Scalar, mean over prompts.
    """
    with torch.no_grad():
        some = target[:, None, ::NEIGHBOURS].contiguous()
        logits = (vectors @ pixels[:, ::NEIGHBOURS].transpose(1, 2)).float()
        best = mask_loss(logits[:, 1:], some).argmin(1) + 1
        iou = intersection_over_union(logits, some)
    rows = torch.arange(len(vectors), device=vectors.device)
    two = torch.stack([vectors[:, 0], vectors[rows, best]], dim=1) @ pixels.transpose(1, 2)
    losses = mask_loss(two.float(), target[:, None])
    quality = (predicted_iou.float() - iou).square().mean(1)
    return (losses[:, 0] + 0.5 * losses[:, 1] + quality).mean()
