"""Work in batches that shrink where memory runs out."""

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

# Bytes that a last-level cache holds besides everything else.
CPU_CACHE = 1 << 23


@dataclass
class BatchSize:
    """How much is done at a time; one for all calls of a job, so that memory runs out once only."""

    size: int


def encode_batch(batch: int | str, device: torch.device) -> BatchSize:
    """Tiles encoded at a time: as asked, or for `auto` what keeps a GPU busy and a CPU's layers near its caches."""
    if batch == "auto":
        return BatchSize(2 if device.type == "cpu" else 8)
    return BatchSize(int(batch))


def decode_batch(batch: int | str, device: torch.device, embedding_shape: tuple[int, int, int]) -> BatchSize:
    """Prompts decoded at a time. The decoder works on an embedding a prompt: `auto` keeps those in a CPU's cache."""
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
        work: What is done with a part.
        what: What one item is, for the message, for example "encode one tile with SAM 'vit_h'".

    Raises:
        ApsamError: Memory does not suffice for a single item.
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
    """Whether `error` is torch saying, on a GPU or on the CPU, that memory ran out."""
    words = ("not enough memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in words)
