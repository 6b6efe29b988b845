"""Encode prompts of all kinds in one batch as tokens, like SAM's prompt encoder, padded to one length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from segment_anything.modeling import PromptEncoder
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor
from torch.nn import functional

from apsam.sam.training.prompts import KINDS


@dataclass(frozen=True)
class PromptTensors:
    """N prompts of mixed kinds, in pixels of SAM's input.

    Attributes:
        kind: (N,) index into `KINDS`.
        points: (N, 1, 2) x, y inside the object; used unless the kind is "box".
        boxes: (N, 4); used unless the kind is "point".
        masks: (N, 1, 4E, 4E) mask prompts, float32 logits.
        has_mask: (N,) bool, which of them are used.
        corrections: (N, 1, 2) further points, or None.
        correction_labels: (N, 1), 1 inside the object, 0 outside.
    """

    kind: Tensor
    points: Tensor
    boxes: Tensor
    masks: Tensor
    has_mask: Tensor
    corrections: Tensor | None = None
    correction_labels: Tensor | None = None


def encode_prompts(encoder: PromptEncoder, prompts: PromptTensors, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """SAM's prompt encoder for prompts of mixed kinds.

    A prompt without a box has, as in SAM, the token "not a point" in place of the box's first corner.

    Returns:
        Tokens (N, T, D), which of them are used (N, T) bool, dense prompts (N, E * E, D); in `dtype`.
    """
    count, none = len(prompts.kind), encoder.not_a_point_embed.weight
    pointed, boxed = prompts.kind != KINDS.index("box"), prompts.kind != KINDS.index("point")
    points, labels = prompts.points, torch.ones(prompts.points.shape[:2], device=prompts.points.device)
    present = [pointed[:, None]]
    if prompts.corrections is not None and prompts.correction_labels is not None:
        points, labels = torch.cat([points, prompts.corrections], 1), torch.cat([labels, prompts.correction_labels], 1)
        present.append(torch.ones_like(present[0]))
    tokens, _ = encoder((points, labels), prompts.boxes, None)  # the points, then two corners of the box
    tokens[:, -2] = torch.where(boxed[:, None], tokens[:, -2], none)
    # A box with a correction point does not have that token either.
    present += [torch.ones_like(present[0]), boxed[:, None]]

    dense = encoder.no_mask_embed.weight.to(dtype).unsqueeze(0)  # (1, 1, D)
    size = encoder.image_embedding_size[0] ** 2
    dense = dense.expand(count, size, -1)
    if prompts.has_mask.any():
        dense = dense.clone()
        dense[prompts.has_mask] = embed_masks(encoder, prompts.masks[prompts.has_mask].to(dtype))
    return tokens.to(dtype), torch.cat(present, 1), dense


def embed_masks(encoder: PromptEncoder, masks: Tensor) -> Tensor:
    """Embed mask prompts like SAM's prompt encoder, as products: (n, 1, 4E, 4E) to (n, E * E, D).

    Its convolutions have strides as wide as their kernels: none mixes pixels of two embedding pixels.
    """
    first, norm1, activation, second, norm2, _, last = encoder.mask_downscaling
    count, _, side, _ = masks.shape
    blocks = masks.reshape(count, side // 4, 2, 2, side // 4, 2, 2).permute(0, 1, 4, 2, 5, 3, 6).flatten(5)
    x = _pixel_linear(first, blocks)  # (n, E, E, 2, 2, 4)
    x = activation(_norm(norm1, x)).flatten(3)
    x = activation(_norm(norm2, _pixel_linear(second, x)))
    return _pixel_linear(last, x).flatten(1, 2)


def _pixel_linear(layer: torch.nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of kernel = stride on blocks whose last axis runs over (row, column, channel)."""
    weight = layer.weight.permute(0, 2, 3, 1).flatten(1)
    assert layer.bias is not None
    return functional.linear(x, weight.to(x.dtype), layer.bias.to(x.dtype))


def _norm(layer: LayerNorm2d, x: Tensor) -> Tensor:
    """SAM's `LayerNorm2d`, channels last."""
    return functional.layer_norm(x, x.shape[-1:], layer.weight.to(x.dtype), layer.bias.to(x.dtype), layer.eps)
