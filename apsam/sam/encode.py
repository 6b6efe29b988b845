"""Encode images: from tiles, or windows of a scene, to embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from apsam.device import bf16_pays
from apsam.errors import ApsamError
from apsam.sam.batches import BatchSize, encode_batch, in_batches
from apsam.sam.model import LoadedSam
from apsam.sam.settings import Channels

T = TypeVar("T")


def encode_tiles(
    sam: LoadedSam,
    images: np.ndarray,
    batch: int | str | BatchSize = "auto",
    precision: str = "auto",
    dtype: type[np.floating] = np.float16,
    channels: Channels = "rgb",
) -> np.ndarray:
    """Embed tiles of one size.

    Args:
        images: (n, 3, h, w) uint8, RGB.
        batch: Tiles at a time, or `auto`; halved each time memory runs out.
        precision: `auto` (bf16 if the processor computes it natively), `fp32` or `bf16`.
        dtype: Of the result; float16 halves the store and changes SAM's logits by about a thousandth.
        channels: Order in which SAM gets them (`sam.channels`).

    Returns:
        (n, D, E, E) embeddings.

    Raises:
        ApsamError: There is not enough memory for one tile, or an embedding does not fit into `dtype`.
    """
    return encode_prepared(sam, prepare_tiles(sam, images, channels), batch, precision, dtype)


def prepare_tiles(sam: LoadedSam, images: np.ndarray, channels: Channels = "rgb") -> Tensor:
    """Preprocess images (n, 3, h, w) uint8, RGB, for SAM, on the CPU, with the channels in the order it gets them."""
    return sam.prepare(images if channels == "rgb" else np.ascontiguousarray(images[:, ::-1]))


@torch.no_grad()
def encode_prepared(
    sam: LoadedSam,
    prepared: Tensor,
    batch: int | str | BatchSize = "auto",
    precision: str = "auto",
    dtype: type[np.floating] = np.float16,
) -> np.ndarray:
    """Embed n images prepared by `prepare_tiles`; the other arguments and the result are as in `encode_tiles`."""
    batch = batch if isinstance(batch, BatchSize) else encode_batch(batch, sam.device)
    embeddings = np.empty((len(prepared), *sam.embedding_shape), dtype)
    what = f"encode one tile with SAM '{sam.name}' on {sam.device}"
    for part, done in in_batches(len(prepared), batch, lambda part: _encode(sam, prepared[part], precision), what):
        embeddings[part] = as_type(sam, done, dtype)
    return embeddings


def as_type(sam: LoadedSam, embeddings: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    """Convert embeddings of `sam`.

    Raises:
        ApsamError: Values are NaN or infinite, or do not fit into `dtype`.
    """
    with np.errstate(over="ignore"):  # reported below
        converted = embeddings.astype(dtype, copy=False)
    if not np.isfinite(converted).all():
        raise ApsamError(
            f"SAM '{sam.name}': its embedding has values that are NaN or infinite or exceed {np.dtype(dtype)}; "
            "set sam.precision: fp32, and check the checkpoint if that does not help"
        )
    return converted


def _encode(sam: LoadedSam, prepared: Tensor, precision: str) -> np.ndarray:
    """Encode a batch of prepared images -> (b, D, E, E) float32."""
    pixels = pinned(prepared, sam.device).to(sam.device, non_blocking=True)
    with arithmetic(sam.device, precision):
        embeddings = sam.encode(pixels)
    return embeddings.float().cpu().numpy()


def pinned(values: Tensor, device: torch.device) -> Tensor:
    """Return `values` in pinned memory for a GPU; unchanged for other devices."""
    return values.pin_memory() if device.type == "cuda" else values


def arithmetic(device: torch.device, precision: str) -> torch.autocast | nullcontext[None]:
    """Return the context in which a network runs with `precision` (`auto`, `fp32`, `bf16`) on `device`."""
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
            yield cast(T, item)


@contextmanager
def write_behind(write: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """Yield a `write` that returns at once: a thread runs it, one call at a time; errors are raised later."""
    with ThreadPoolExecutor(1) as pool:
        pending: list[Future[None]] = []

        def later(**values: Any) -> None:
            if pending:
                pending.pop().result()
            pending.append(pool.submit(write, **values))

        yield later
        if pending:
            pending.pop().result()
