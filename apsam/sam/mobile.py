"""MobileSAM's image encoder: TinyViT-5M (Wu et al. 2022) at stride 16, distilled from SAM's ViT-H (Zhang et al. 2023).

Prompt encoder and mask decoder are those of SAM. Names of modules are those of the published `mobile_sam.pt`, whose
state dict loads strictly, including its unused classifier (`norm_head`, `head`). The code is ours: any square input
whose side is a multiple of 16, images channels last throughout, attention fused.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)

from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # isort: skip
from segment_anything.modeling.common import LayerNorm2d  # isort: skip

WIDTHS = (64, 128, 160, 320)  # of the four layers
DEPTHS = (2, 2, 6, 2)
HEADS = (None, 4, 5, 10)  # the first layer is convolutional
WINDOWS = (None, 7, 14, 7)
STRIDES = (2, 2, 1)  # between layers; TinyViT's own last one is 2
EMBEDDING = 256
STRIDE = 16
CLASSES = 1000


class NormedConv(nn.Sequential):
    """A convolution (`c`) without bias and its batch norm (`bn`)."""

    def __init__(self, inward: int, outward: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(inward, outward, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outward))


class PatchEmbed(nn.Module):
    """Patch embedding: pixels to the first features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(NormedConv(3, width // 2, 3, 2), nn.GELU(), NormedConv(width // 2, width, 3, 2))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, width, H / 4, W / 4)."""
        return self.seq(image)


class InvertedBottleneck(nn.Module):
    """Inverted bottleneck: widen by four, depthwise convolution, narrow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = NormedConv(width, 4 * width)
        self.conv2 = NormedConv(4 * width, 4 * width, 3, groups=4 * width)
        self.conv3 = NormedConv(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        y = functional.gelu(self.conv1(x))
        return functional.gelu(x + self.conv3(functional.gelu(self.conv2(y))))


class Merging(nn.Module):
    """Downsampling between layers."""

    def __init__(self, inward: int, outward: int, stride: int) -> None:
        super().__init__()
        self.conv1 = NormedConv(inward, outward)
        self.conv2 = NormedConv(outward, outward, 3, stride, groups=outward)
        self.conv3 = NormedConv(outward, outward)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inward, H, W) to (B, outward, H / stride, W / stride)."""
        return self.conv3(functional.gelu(self.conv2(functional.gelu(self.conv1(x)))))


@lru_cache(maxsize=8)
def offset_indices(side: int) -> Tensor:
    """Return (side^2, side^2) int64: the index of the bias for a query and a key of a window.

    Biases depend on the distances in rows and columns, numbered by first occurrence as in LeViT.
    """
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    rows, columns = (places[:, None] - places[None]).abs().unbind(-1)
    # Seen from the first position, every pair of distances occurs, row by row: this order is the numbering.
    return rows * side + columns


class WindowAttention(nn.Module):
    """Attention within windows of `side` x `side`, with a learned bias for every distance."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))

    def forward(self, x: Tensor) -> Tensor:
        """(B, side^2, width) of windows to the same shape."""
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, offset_indices(self.side).to(x.device)].to(q.dtype)
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return self.proj(attended.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """A perceptron per pixel, with four times the width inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        return self.fc2(functional.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Attention in windows, a depthwise convolution across their borders, a perceptron."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.attn = WindowAttention(width, heads, side)
        self.mlp = Mlp(width)
        self.local_conv = NormedConv(width, width, 3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        x = x + _in_windows(self.attn, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = self.local_conv(x).permute(0, 2, 3, 1)
        return (x + self.mlp(x)).permute(0, 3, 1, 2)


def _in_windows(attention: WindowAttention, x: Tensor) -> Tensor:
    """Apply to all windows of (B, H, W, width); those at the right and lower border are padded with zeros."""
    side = attention.side
    batch, height, width, channels = x.shape
    x = functional.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    rows, columns = x.shape[1] // side, x.shape[2] // side
    windows = x.view(batch, rows, side, columns, side, channels).transpose(2, 3)
    windows = attention(windows.reshape(-1, side * side, channels))
    windows = windows.view(batch, rows, columns, side, side, channels).transpose(2, 3)
    return windows.reshape(batch, rows * side, columns * side, channels)[:, :height, :width]


class Layer(nn.Module):
    """Blocks of one width and, except in the last layer, the downsampling to the next."""

    def __init__(self, number: int) -> None:
        super().__init__()
        width, heads, window = WIDTHS[number], HEADS[number], WINDOWS[number]
        self.blocks = nn.ModuleList(
            Block(width, heads, window) if heads and window else InvertedBottleneck(width)
            for _ in range(DEPTHS[number])
        )
        self.downsample = Merging(width, WIDTHS[number + 1], STRIDES[number]) if number < len(STRIDES) else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the input of the next layer."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class TinyViT(nn.Module):
    """The image encoder, with SAM's interface."""

    def __init__(self, size: int = 1024) -> None:
        super().__init__()
        self.img_size = size  # read by SamPredictor and Sam.preprocess
        self.patch_embed = PatchEmbed(WIDTHS[0])
        self.layers = nn.ModuleList(Layer(number) for number in range(len(WIDTHS)))
        # Unused, but in the published file.
        self.norm_head = nn.LayerNorm(WIDTHS[-1])
        self.head = nn.Linear(WIDTHS[-1], CLASSES)
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], EMBEDDING, 1, bias=False),
            LayerNorm2d(EMBEDDING),
            nn.Conv2d(EMBEDDING, EMBEDDING, 3, padding=1, bias=False),
            LayerNorm2d(EMBEDDING),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Compute embeddings (B, 256, size / 16, size / 16) of normalised images (B, 3, size, size)."""
        x = self.patch_embed(image.contiguous(memory_format=torch.channels_last))
        for layer in self.layers:
            x = layer(x)
        return self.neck(x)


def build_mobile_sam(size: int = 1024) -> Sam:
    """Build MobileSAM with random weights, for inputs of `size` (the published weights are for 1024)."""
    grid = (size // STRIDE, size // STRIDE)
    return Sam(
        image_encoder=TinyViT(size),
        prompt_encoder=PromptEncoder(
            embed_dim=EMBEDDING, image_embedding_size=grid, input_image_size=(size, size), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=EMBEDDING, mlp_dim=2048, num_heads=8),
            transformer_dim=EMBEDDING,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
    ).eval()
