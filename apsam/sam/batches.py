"""Process items in batches, which are made smaller if memory runs out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from apsam.errors import ApsamError

log = logging.getLogger(__name__)

T = TypeVar("T")

# Bytes of a last-level cache that are available for a batch.
CPU_CACHE = 1 << 23


@dataclass
class BatchSize:
    """Current batch size; shared by all calls of a job, so that memory runs out only once."""

    size: int


def encode_batch(batch: int | str, device: torch.device) -> BatchSize:
    """Tiles encoded at a time: as set, or for `auto` enough to keep a GPU busy and a CPU's layers in its caches."""
    if batch == "auto":
        return BatchSize(2 if device.type == "cpu" else 8)
    return BatchSize(int(batch))


def decode_batch(batch: int | str, device: torch.device, embedding_shape: tuple[int, int, int]) -> BatchSize:
    """Prompts decoded at a time. The decoder needs one embedding per prompt; `auto` keeps these in a CPU's cache."""
    if batch == "auto":
        embedding_bytes = 4 * math.prod(embedding_shape)
        return BatchSize(max(1, CPU_CACHE // embedding_bytes) if device.type == "cpu" else 64)
    return BatchSize(int(batch))


def in_batches(count: int, batch: BatchSize, work: Callable[[slice], T], what: str) -> Iterator[tuple[slice, T]]:
    """Yield (part, work(part)) over `count` items; `batch` is halved, and the part tried again, each time
    memory runs out.

    Args:
        count: Number of items.
        batch: Items at a time; changed here.
        work: Function that processes a part.
        what: Name of one item for the message, for example "encode one tile with SAM 'vit_h'".

    Raises:
        ApsamError: There is not enough memory for a single item.
    """
    start = 0
    while start < count:
        part = slice(start, min(count, start + batch.size))
        try:
            done = work(part)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if part.stop - part.start == 1:
                raise ApsamError(f"not enough memory to {what}; use another device or a smaller SAM") from error
            batch.size = (part.stop - part.start) // 2
            log.warning("out of memory: batch size reduced to %d", batch.size)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        yield part, done
        start = part.stop


def out_of_memory(error: RuntimeError) -> bool:
    """Whether `error` is torch's out-of-memory error, on a GPU or on the CPU."""
    words = ("not enough memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in words)
