"""SAM's mask decoder for many prompts of many images at once, fast enough to train on a CPU.

`segment_anything.MaskDecoder` takes one image a call, and computes its two transposed convolutions (kernel 2,
stride 2) and the norm between them as images. Such a convolution never mixes pixels: it is a linear map of one
pixel's channels to a block of 2 x 2. Here all of it is done on the token layout of the transformer, and only the
finished logits are put back into an image. Same parameters, same numbers (tests/test_sam_training.py).
"""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor, nn
from torch.nn import functional


def decode_prompts(
    decoder: MaskDecoder, embeddings: Tensor, position: Tensor, sparse: Tensor, dense: Tensor
) -> tuple[Tensor, Tensor]:
    """Masks and predicted IoU of N prompts.

    Args:
        decoder: SAM's mask decoder.
        embeddings: (N, D, E, E), the embedding of each prompt's image.
        position: (1, D, E, E), `PromptEncoder.get_dense_pe()`.
        sparse: (N, T, D) point and box tokens.
        dense: (N, D, E, E) dense prompt embeddings.

    Returns:
        Logits (N, 1 + multimask outputs, 4E, 4E) and predicted IoU (N, 1 + multimask outputs).
    """
    count, width, size, _ = embeddings.shape
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).unsqueeze(0)
    tokens = torch.cat([own.expand(count, -1, -1).to(sparse.dtype), sparse], dim=1)
    hidden, pixels = decoder.transformer(embeddings + dense, position.expand(count, -1, -1, -1), tokens)
    outputs = hidden[:, 1 : 1 + decoder.num_mask_tokens]
    weights = torch.stack(
        [mlp(outputs[:, i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1
    )  # (N, M, D/8)

    first, norm, activation, second, last = decoder.output_upscaling
    x = _spread(first, pixels)  # (N, E*E, 4, D/4)
    x = activation(functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
    x = last(_spread(second, x))  # (N, E*E, 4, 4, D/8)
    x = x.reshape(count, -1, x.shape[-1])
    logits = weights @ x.transpose(1, 2)  # (N, M, E*E*4*4)
    logits = logits.view(count, -1, size, size, 2, 2, 2, 2)  # row, column, then (row, column) of both blocks
    logits = logits.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(count, -1, 4 * size, 4 * size)
    return logits, decoder.iou_prediction_head(hidden[:, 0])


def _spread(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """A 2 x 2 transposed convolution with stride 2 on tokens: (..., C) to (..., 4, C'), the 4 row by row."""
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * C', C)
    bias = layer.bias.repeat(4)
    return functional.linear(x, weight, bias).unflatten(-1, (4, layer.out_channels))
