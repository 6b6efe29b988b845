"""Exact fast attention for SAM's ViT encoders.

SAM adds to every attention logit a decomposed relative position, `rel_h[q, kh] + rel_w[q, kw]` (MViTv2,
arXiv:2112.01526, eq. 4). As released that is an explicit N x N matrix a head: 4096 x 4096 for a global
block, added and soft-maxed in memory. Here the sum is folded into the dot product. With one-hot codes of
the key's row and column,

    [q, rel_h[q] / s, rel_w[q] / s] . [k, onehot(kh), onehot(kw)] * s  =  s q.k + rel_h[q, kh] + rel_w[q, kw]

so that `scaled_dot_product_attention` needs no bias and takes its flash kernel, which never holds the
matrix. The values are padded with zeros to the same width, since the flash kernels want one width for all
three. It is the same function: only the order of floating-point sums differs.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)

from segment_anything.modeling.image_encoder import Attention, get_rel_pos  # isort: skip

# The flash kernels want widths that are multiples of 8 (and on CUDA at most 256: ViT-H needs 80 + 128).
WIDTH_STEP = 8


@lru_cache(maxsize=16)
def position_codes(height: int, width: int, padding: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """One-hot codes of a grid's rows and columns. Shape (height * width, height + width + padding)."""
    rows = torch.eye(height, dtype=dtype, device=device).repeat_interleave(width, dim=0)
    columns = torch.eye(width, dtype=dtype, device=device).repeat(height, 1)
    return F.pad(torch.cat([rows, columns], dim=1), (0, padding))


class FoldedAttention(Attention):
    """`segment_anything`'s attention with the relative positions folded into queries and keys.

    It has the parameters of its base class and nothing else; `use_fast_attention` turns one into the other
    in place.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Attend within a grid of tokens, as the base class does. (B, H, W, C) -> (B, H, W, C)."""
        if not self.use_rel_pos:
            return self._attend_plainly(x)
        batch, height, width, channels = x.shape
        tokens, head = height * width, channels // self.num_heads
        qkv = self.qkv(x).view(batch, tokens, 3, self.num_heads, head)

        used = head + height + width
        folded = -(-used // WIDTH_STEP) * WIDTH_STEP
        query, key, value = (qkv.new_empty(batch, tokens, self.num_heads, folded) for _ in range(3))
        q, k, v = qkv.unbind(2)
        query[..., :head], key[..., :head], value[..., :head] = q, k, v
        value[..., head:] = 0
        query[..., used:] = 0
        key[..., head:] = position_codes(height, width, folded - used, qkv.dtype, qkv.device)[:, None]

        # (B, H, W, heads, C): row h of the queries against row h of the table, column w against column w.
        grid = q.unflatten(1, (height, width))
        rows, columns = self._tables(height, width, qkv.dtype)
        query[..., head : head + height] = torch.einsum("bhwnc,hkc->bhwnk", grid, rows).flatten(1, 2)
        query[..., head + height : used] = torch.einsum("bhwnc,wkc->bhwnk", grid, columns).flatten(1, 2)

        attended = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), scale=self.scale
        )
        attended = attended[..., :head].transpose(1, 2).reshape(batch, height, width, channels)
        return self.proj(attended)

    def _tables(self, height: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Relative positions of rows (H, H, C) and of columns (W, W, C), divided by the logits' scale."""
        rows = get_rel_pos(height, height, self.rel_pos_h) / self.scale
        columns = get_rel_pos(width, width, self.rel_pos_w) / self.scale
        return rows.to(dtype), columns.to(dtype)

    def _attend_plainly(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*qkv.unbind(0), scale=self.scale)
        return self.proj(attended.transpose(1, 2).reshape(batch, height, width, channels))


def use_fast_attention(model: nn.Module) -> int:
    """Switch every attention of SAM's ViT encoder inside `model` to the folded one, in place.

    Parameters, buffers and the state dict stay as they are. Models without such an encoder are left alone.

    Returns:
        The number of attention modules switched.
    """
    return _switch(model, Attention, FoldedAttention)


def use_original_attention(model: nn.Module) -> int:
    """Undo `use_fast_attention`. Returns the number of attention modules switched back."""
    return _switch(model, FoldedAttention, Attention)


def _switch(model: nn.Module, old: type[Attention], new: type[Attention]) -> int:
    modules = [module for module in model.modules() if type(module) is old]
    for module in modules:
        module.__class__ = new
    return len(modules)
