"""Exact fast attention for SAM's ViT encoders (for its mask decoder see `apsam.sam.folded_decoder`).

The encoder of SAM adds to every attention logit a decomposed relative position, `rel_h[q, kh] + rel_w[q, kw]` (MViTv2,
arXiv:2112.01526, eq. 4). The released code stores an explicit N x N matrix per head, 4096 x 4096 for a global block,
and multiplies it, adds to it twice and applies the softmax in main memory. This module has two faster variants:

Folded. With one-hot codes of the key's row and column,

    [q, rel_h[q] / s, rel_w[q] / s] . [k, onehot(kh), onehot(kw)] * s  =  s q.k + rel_h[q, kh] + rel_w[q, kw]

so `scaled_dot_product_attention` needs no bias and uses its flash kernel, which never stores the matrix. Values
are padded with zeros to the same width, because flash kernels need one width for all three. Heads of 64 become 192
wide: three times the products, which take no measurable time on GPUs and with AMX.

Blocked, for other machines, on which products are slow. For a few rows of queries at a time, the sum of the two
positions is written into a block small enough for the cache and the product is added to it; softmax and values follow.

Both compute the released function: only the order of floating-point sums differs.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)
from apsam.device import cpu_has
from apsam.sam.batches import CPU_CACHE

from segment_anything.modeling.image_encoder import Attention, get_rel_pos  # isort: skip

# The flash kernels need widths that are multiples of 8 (and on CUDA at most 256: ViT-H needs 80 + 128).
WIDTH_STEP = 8
# Logits of a block.
BLOCK_BYTES = CPU_CACHE


def products_are_cheap(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `device` multiplies matrices of `dtype` so fast that folding is the faster variant."""
    if device.type == "cpu":
        return dtype == torch.bfloat16 and cpu_has("amx_tile")
    return True


class FastAttention(Attention):
    """`segment_anything`'s attention, computed faster.

    It has the same parameters as its base class; `use_fast_attention` converts one to the other
    in place.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Attend within a grid of tokens, like the base class. (B, H, W, C) -> (B, H, W, C)."""
        batch, height, width, channels = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self.num_heads, channels // self.num_heads)
        if not self.use_rel_pos:
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
            return self.proj(attended.transpose(1, 2).reshape(x.shape))
        # The blocks are overwritten in place, so gradients cannot be computed.
        if torch.is_grad_enabled() or products_are_cheap(qkv.device, qkv.dtype):
            attended = folded_attention(qkv, *self._tables(height, width, qkv.dtype), self.scale)
        else:
            attended = blocked_attention(qkv, *self._tables(height, width, qkv.dtype), self.scale)
        return self.proj(attended.reshape(x.shape))

    def _tables(self, height: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return relative positions of rows (H, H, C) and columns (W, W, C), query first."""
        rows, columns = get_rel_pos(height, height, self.rel_pos_h), get_rel_pos(width, width, self.rel_pos_w)
        return rows.to(dtype), columns.to(dtype)


def folded_attention(qkv: Tensor, rows: Tensor, columns: Tensor, scale: float) -> Tensor:
    """Compute attention with the positions folded into queries and keys.

    Args:
        qkv: (B, H * W, 3, heads, C) queries, keys and values.
        rows: (H, H, C) relative positions of (query row, key row).
        columns: (W, W, C) relative positions of (query column, key column).
        scale: Factor of the logits.

    Returns:
        (B, H * W, heads, C).
    """
    batch, tokens, _, heads, head = qkv.shape
    height, width = len(rows), len(columns)
    used = head + height + width
    folded = -(-used // WIDTH_STEP) * WIDTH_STEP
    query, key, value = (qkv.new_empty(batch, tokens, heads, folded) for _ in range(3))
    q, k, v = qkv.unbind(2)
    query[..., :head], key[..., :head], value[..., :head] = q, k, v
    value[..., head:] = 0
    query[..., used:] = 0
    key[..., head:] = position_codes(height, width, folded - used, qkv.dtype, qkv.device)[:, None]
    grid = q.unflatten(1, (height, width))
    by_row = torch.einsum("bhwnc,hkc->bhwnk", grid, rows / scale)
    by_column = torch.einsum("bhwnc,wkc->bhwnk", grid, columns / scale)
    query[..., head : head + height] = by_row.flatten(1, 2)
    query[..., head + height : used] = by_column.flatten(1, 2)
    attended = F.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), scale=scale
    )
    return attended[..., :head].transpose(1, 2)


@lru_cache(maxsize=16)
def position_codes(height: int, width: int, padding: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return one-hot codes of a grid's rows and columns. Shape (height * width, height + width + padding)."""
    rows = torch.eye(height, dtype=dtype, device=device).repeat_interleave(width, dim=0)
    columns = torch.eye(width, dtype=dtype, device=device).repeat(height, 1)
    return F.pad(torch.cat([rows, columns], dim=1), (0, padding))


def blocked_attention(qkv: Tensor, rows: Tensor, columns: Tensor, scale: float) -> Tensor:
    """Compute attention in blocks of queries that fit into the cache. Arguments and result as `folded_attention`."""
    batch, tokens, _, heads, head = qkv.shape
    height, width = len(rows), len(columns)
    # (3, B * heads, H * W, C): batched products need contiguous queries, keys and values.
    q, k, v = qkv.permute(2, 0, 3, 1, 4).reshape(3, batch * heads, tokens, head)
    keys = k.transpose(1, 2)
    grid = q.view(-1, height, width, head)
    by_row = _from_highest(torch.einsum("bhwc,hkc->bhwk", grid, rows))
    by_column = _from_highest(torch.einsum("bhwc,wkc->bhwk", grid, columns))
    attended = torch.empty_like(q)

    logits_held = BLOCK_BYTES // q.itemsize
    many = min(batch * heads, max(1, logits_held // (tokens * tokens)))
    lines = min(height, max(1, logits_held // (many * width * tokens)))
    block = q.new_empty(many, lines, width, height, width)
    for first in range(0, batch * heads, many):
        some = slice(first, first + many)
        for top in range(0, height, lines):
            grid_rows, queries = slice(top, top + lines), slice(top * width, (top + lines) * width)
            row_part, column_part = by_row[some, grid_rows], by_column[some, grid_rows]
            biases = block[: row_part.shape[0], : row_part.shape[1]]
            torch.add(row_part[..., None], column_part[..., None, :], out=biases)
            logits = biases.view(len(biases), -1, tokens)
            torch.baddbmm(logits, q[some, queries], keys[some], alpha=scale, out=logits)
            attended[some, queries] = torch.bmm(logits.softmax(dim=-1), v[some])
    return attended.view(batch, heads, tokens, head).transpose(1, 2)


def _from_highest(logits: Tensor) -> Tensor:
    """Set each query's highest logit to 0: softmax is the same, and bf16 is most exact for the largest weights.

    As one tensor, because torch.compile cannot view the sum of two, whose axes it reorders.
    """
    return logits.sub_(logits.amax(dim=-1, keepdim=True)).contiguous()


def use_fast_attention(model: nn.Module) -> int:
    """Switch every attention of SAM's ViT encoder inside `model` to the fast one, in place.

    Parameters, buffers and the state dict do not change.

    Returns:
        The number of attention modules switched.
    """
    # They differ in `forward` only.
    modules = [module for module in model.modules() if type(module) is Attention]
    for module in modules:
        module.__class__ = FastAttention
    return len(modules)
