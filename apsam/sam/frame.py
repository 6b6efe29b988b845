"""Resize images to the square of SAM's encoder: the longer side is resized to the square's, the rest is padded."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def input_size(height: int, width: int, image_size: int) -> tuple[int, int]:
    """Return height and width of a tile resized to `image_size` by its longest side (SAM's `ResizeLongestSide`)."""
    scale = image_size / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def resize_tiles(images: np.ndarray, image_size: int) -> Tensor:
    """Resize tiles to the encoder's size, with the same pixel values as `SamPredictor`.

    SAM was trained with Pillow's bilinear filter. torch's 8-bit kernel gives the same bytes for
    whole-number factors, such as 256 -> 1024, and processes a batch at once; for others it differs by one in up
    to a hundredth of the pixels, so Pillow is used for those.

    Args:
        images: (n, 3, h, w) uint8.

    Returns:
        (n, 3, h', w') uint8 with max(h', w') = image_size.
    """
    height, width = images.shape[-2:]
    size = input_size(height, width, image_size)
    if size == (height, width):
        return torch.from_numpy(images)
    if image_size % max(height, width) == 0:
        return F.interpolate(torch.from_numpy(images), size, mode="bilinear", align_corners=False, antialias=True)
    resized = np.empty((len(images), 3, *size), np.uint8)
    for target, image in zip(resized, images, strict=True):
        picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        target[:] = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    return torch.from_numpy(resized)
