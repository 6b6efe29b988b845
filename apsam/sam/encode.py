"""Image encoding: tiles, or windows of a scene, in; embeddings out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from apsam.device import bf16_pays
from apsam.sam.batches import BatchSize, encode_batch, in_batches
from apsam.sam.registry import LoadedSam

T = TypeVar("T")


def input_size(height: int, width: int, image_size: int) -> tuple[int, int]:
    """Height and width of a tile brought to `image_size` by its longest side (SAM's `ResizeLongestSide`)."""
    scale = image_size / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def resize_tiles(images: np.ndarray, image_size: int) -> Tensor:
    """Bring tiles to the encoder's size, pixel by pixel as `SamPredictor` does.

    SAM was trained on what Pillow's bilinear filter makes. torch's 8-bit kernel gives the same bytes for
    whole-number factors, such as 256 -> 1024, and does a batch at once; for others it is off by one in up
    to a hundredth of the pixels, so Pillow itself does those.

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


def encode_tiles(
    sam: LoadedSam,
    images: np.ndarray,
    batch: int | str | BatchSize = "auto",
    precision: str = "auto",
    dtype: type[np.floating] = np.float16,
) -> np.ndarray:
    """Embed tiles of one size.

    Args:
        images: (n, 3, h, w) uint8, RGB.
        batch: Tiles at a time, or `auto`; halved each time memory runs out.
        precision: `auto` (bf16 where the processor computes it natively), `fp32` or `bf16`.
        dtype: Of the result; float16 halves the store and moves SAM's logits by about a thousandth.

    Returns:
        (n, D, E, E) embeddings.

    Raises:
        ApsamError: Not even one tile fits into memory.
    """
    return encode_resized(sam, resize_tiles(images, sam.image_size), batch, precision, dtype)


@torch.no_grad()
def encode_resized(
    sam: LoadedSam,
    resized: Tensor,
    batch: int | str | BatchSize = "auto",
    precision: str = "auto",
    dtype: type[np.floating] = np.float16,
) -> np.ndarray:
    """Embed what `resize_tiles` made, (n, 3, h', w') uint8; the other arguments and the result as `encode_tiles`."""
    batch = batch if isinstance(batch, BatchSize) else encode_batch(batch, sam.device)
    embeddings = np.empty((len(resized), *sam.embedding_shape), dtype)
    what = f"encode one tile with SAM '{sam.name}' on {sam.device}"
    for part, done in in_batches(len(resized), batch, lambda part: _encode(sam, resized[part], precision), what):
        embeddings[part] = done
    return embeddings


def _encode(sam: LoadedSam, resized: Tensor, precision: str) -> np.ndarray:
    """(b, 3, h', w') uint8 -> (b, D, E, E) float32."""
    model = sam.model
    pixels = model.preprocess(pinned(resized, sam.device).to(sam.device, non_blocking=True).float())
    # Convolutions are up to twice as fast with the channels last; a ViT, with one at its entrance, does not mind.
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    with arithmetic(sam.device, precision):
        embeddings = model.image_encoder(pixels)
    return embeddings.float().cpu().numpy()


def pinned(values: Tensor, device: torch.device) -> Tensor:
    """`values` where a GPU copies them from while it computes; as they are for other devices."""
    return values.pin_memory() if device.type == "cuda" else values


def arithmetic(device: torch.device, precision: str) -> torch.autocast | nullcontext[None]:
    """The context in which a network runs with `precision` (`auto`, `fp32`, `bf16`) on `device`."""
    if precision == "bf16" or (precision == "auto" and bf16_pays(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield `items`, fetching the next one in a thread while the caller works on the current one."""
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(next, iterator, end)
        while (item := pending.result()) is not end:
            pending = pool.submit(next, iterator, end)
            yield item


@contextmanager
def write_behind(write: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """Give a `write` that returns at once: a thread does it, one call at a time; errors come at the next or the end."""
    with ThreadPoolExecutor(1) as pool:
        pending: list[Future[None]] = []

        def later(**values: Any) -> None:
            if pending:
                pending.pop().result()
            pending.append(pool.submit(write, **values))

        yield later
        if pending:
            pending.pop().result()
