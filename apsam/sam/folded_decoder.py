"""SAM's mask decoder for many prompts of many images at once, in half the time of the released one.

`segment_anything.MaskDecoder` takes one image per call and projects all 1024 pixels of its embedding to keys, values
and queries for every prompt and layer. Here the few tokens of a prompt are projected instead. With X the pixels,
t a token and W the head's matrices,

    (t Wq) . (X Wk)  =  ((t Wq) Wk') . X        and        softmax(..) (X Wv)  =  (softmax(..) X) Wv,

so the pixels enter every attention without a projection, in two matrix products that all heads share. Biases of keys
shift all logits of a token equally and cancel; those of values are added afterwards, because weights sum to 1.

Its two transposed convolutions (kernel 2, stride 2) never mix pixels: each is a linear map of one pixel's channels
to a block of 2 x 2, computed on the tokens in their order. Only the final logits are rearranged to an image.

Same parameters, same function (tests/test_sam_decode.py): only the order of floating-point sums differs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)

from segment_anything.modeling import MaskDecoder  # isort: skip
from segment_anything.modeling.transformer import Attention, TwoWayTransformer  # isort: skip

NEVER = -1e4  # logit of an absent token


def decode_folded(
    decoder: MaskDecoder,
    pixels: Tensor,
    detail: Tensor | None,
    position: Tensor,
    sparse: Tensor,
    present: Tensor | None = None,
    masks: slice = slice(None),
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the decoder for N prompts, up to the vectors of masks and pixels (`mask_logits` makes the masks).

    Args:
        decoder: Mask decoder of any SAM.
        pixels: (N, E * E, D), embedding of each prompt's image plus its dense prompt.
        detail: (B, E * E, 4, 4, D / 8), the images' fine features in the order of `fold_detail`; each image has
            N / B prompts, one after the other. None for SAMs other than the light one, which have none.
        position: (E * E, D), `PromptEncoder.get_dense_pe()`.
        sparse: (N, T, D) point and box tokens.
        present: (N, T) bool: tokens that are used; all by default.
        masks: Which of the decoder's masks, the single one first and then the three; all by default.

    Returns:
        Masks' vectors (N, M, D / 8), pixels' vectors (N, 16 * E * E, D / 8), predicted IoU (N, M), of M masks.
    """
    count = len(pixels)
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).unsqueeze(0)
    tokens = torch.cat([own.expand(count, -1, -1).to(sparse.dtype), sparse], dim=1)
    absent = torch.zeros(tokens.shape[:2], dtype=tokens.dtype, device=tokens.device)
    if present is not None:
        absent[:, own.shape[1] :].masked_fill_(~present, NEVER)
    hidden, pixels = _transform(decoder.transformer, pixels, position, tokens, absent)
    wanted = list(enumerate(decoder.output_hypernetworks_mlps, start=1))[masks]
    weights = torch.stack([mlp(hidden[:, token]) for token, mlp in wanted], dim=1)

    first, norm, activation, second, last = decoder.output_upscaling
    x = _spread(first, pixels)  # (N, E*E, 4, D/4)
    x = activation(functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
    x = _spread(second, x)  # (N, E*E, 4, 4, D/8)
    x = last(x if detail is None else add_shared(x, detail))
    return weights, x.flatten(1, 3), decoder.iou_prediction_head(hidden[:, 0])[:, masks]


class _AddShared(torch.autograd.Function):
    """The sum of `add_shared`. Autograd's own sum of gradients over prompts is slow in bfloat16."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, shared: Tensor) -> Tensor:
        ctx.images = len(shared)
        return (own.unflatten(0, (len(shared), -1)) + shared.unsqueeze(1)).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        first, *others = gradient.unflatten(0, (ctx.images, -1)).unbind(1)
        total = first.clone()
        for other in others:
            total += other
        return gradient, total


def add_shared(own: Tensor, shared: Tensor) -> Tensor:
    """Add (B, ...) to (N, ...): the values of each image to those of its N / B prompts."""
    return _AddShared.apply(own, shared)


def mask_logits(weights: Tensor, vectors: Tensor) -> Tensor:
    """Return logits (N, M, 4E * 4E) of masks, pixels in the order of `fold_detail`; arguments of `decode_folded`."""
    return weights @ vectors.transpose(1, 2)


def fold_detail(image: Tensor) -> Tensor:
    """Reorder (N, C, 4E, 4E) to (N, E * E, 4, 4, C): by embedding pixel, then the 2 x 2 blocks of both convolutions."""
    count, channels, side, _ = image.shape
    blocks = image.reshape(count, channels, side // 4, 2, 2, side // 4, 2, 2)
    return blocks.permute(0, 2, 5, 3, 6, 4, 7, 1).reshape(count, -1, 4, 4, channels)


def unfold_pixels(flat: Tensor, side: int) -> Tensor:
    """Reorder (N, M, side * side) in the order of `fold_detail` to images (N, M, side, side)."""
    blocks = flat.view(*flat.shape[:2], side // 4, side // 4, 2, 2, 2, 2)
    return blocks.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(*flat.shape[:2], side, side)


def _transform(
    transformer: TwoWayTransformer, pixels: Tensor, position: Tensor, points: Tensor, absent: Tensor
) -> tuple[Tensor, Tensor]:
    """SAM's two-way transformer: returns tokens (N, T, D) and pixels (N, P, D) after attending to each other."""
    tokens = points
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            tokens = _among_tokens(layer.self_attn, tokens, tokens, absent)
        else:
            asking = tokens + points
            tokens = tokens + _among_tokens(layer.self_attn, asking, tokens, absent)
        tokens = layer.norm1(tokens)
        placed = pixels + position
        tokens = layer.norm2(tokens + _to_pixels(layer.cross_attn_token_to_image, tokens + points, placed, pixels))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        pixels = _from_tokens(layer.cross_attn_image_to_token, pixels, placed, tokens + points, tokens, absent)
        pixels = layer.norm4(pixels)
    last = _to_pixels(transformer.final_attn_token_to_image, tokens + points, pixels + position, pixels)
    return transformer.norm_final_attn(tokens + last), pixels


def _heads(layer: nn.Linear, x: Tensor, heads: int) -> Tensor:
    """Project (N, T, D) and split it into heads: (N, heads, T, C)."""
    return layer(x).unflatten(-1, (heads, -1)).transpose(1, 2)


def _among_tokens(attention: Attention, asking: Tensor, tokens: Tensor, absent: Tensor) -> Tensor:
    """Attention from tokens to tokens: (N, T, D)."""
    heads = attention.num_heads
    q, k, v = (_heads(attention.q_proj, asking, heads), _heads(attention.k_proj, asking, heads),
               _heads(attention.v_proj, tokens, heads))  # fmt: skip
    logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5 + absent[:, None, None]
    return attention.out_proj((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))


def _to_pixels(attention: Attention, asking: Tensor, placed: Tensor, pixels: Tensor) -> Tensor:
    """Attention from tokens (N, T, D) to pixels (N, P, D); `placed` are the pixels with positions. (N, T, D)."""
    heads = attention.num_heads
    q = _heads(attention.q_proj, asking, heads)  # (N, h, T, C)
    count, _, tokens, channels = q.shape
    keys = attention.k_proj.weight.unflatten(0, (heads, channels)) * channels**-0.5
    folded = torch.einsum("nhtc,hcd->nhtd", q, keys).flatten(1, 2)  # (N, h * T, D)
    shares = (folded @ placed.transpose(1, 2)).softmax(-1)
    seen = (shares @ pixels).unflatten(1, (heads, tokens))  # (N, h, T, D)
    values = torch.einsum("nhtd,hcd->nthc", seen, attention.v_proj.weight.unflatten(0, (heads, channels)))
    return attention.out_proj(values.flatten(2) + attention.v_proj.bias)


def _from_tokens(
    attention: Attention, pixels: Tensor, placed: Tensor, asked: Tensor, tokens: Tensor, absent: Tensor
) -> Tensor:
    """Add to pixels (N, P, D) their attention to tokens: keys of `asked`, values of `tokens` (N, T, D)."""
    heads = attention.num_heads
    k, v = _heads(attention.k_proj, asked, heads), _heads(attention.v_proj, tokens, heads)  # (N, h, T, C)
    scale = k.shape[-1] ** -0.5
    queries = attention.q_proj.weight.unflatten(0, (heads, -1))
    folded = torch.einsum("nhtc,hcd->nhtd", k * scale, queries).flatten(1, 2)  # (N, h * T, D)
    offset = torch.einsum("nhtc,hc->nht", k * scale, attention.q_proj.bias.unflatten(0, (heads, -1)))
    offset = offset + absent[:, None]
    logits = torch.baddbmm(offset.flatten(1)[..., None], folded, placed.transpose(1, 2))  # (N, h * T, P)
    shares = logits.unflatten(1, (heads, -1)).softmax(2).flatten(1, 2)
    outward = attention.out_proj.weight.unflatten(1, (heads, -1))  # (D, h, C)
    given = torch.einsum("nhtc,dhc->nhtd", v, outward) + attention.out_proj.bias / heads
    return torch.baddbmm(pixels, shares.transpose(1, 2), given.flatten(1, 2))


def _spread(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """A 2 x 2 transposed convolution with stride 2 on tokens: (..., C) to (..., 4, C'), the 4 row by row."""
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * C', C)
    assert layer.bias is not None
    bias = layer.bias.repeat(4)
    return functional.linear(x, weight, bias).unflatten(-1, (4, layer.out_channels))
