"""Progress of long work: a bar on a terminal, a few plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

LINES_IN_A_LOG = 10


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` while telling how far the work is.

    Args:
        items: What is worked on, one after the other.
        description: What is done, for example "cams of valley_1".
        total: Number of items; taken from `items` where it has a length.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        from rich.progress import track as rich_track

        yield from rich_track(items, description=description, total=total, transient=True)
        return
    start = time.monotonic()
    every = max(1, (total or 0) // LINES_IN_A_LOG) if total else None
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        if every and (done % every == 0 or done == total):
            seconds = time.monotonic() - start
            left = seconds / done * (total - done)
            print(
                f"{description}: {done}/{total}, {done / max(seconds, 1e-9):.1f} a second, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
    if every is None:
        print(f"{description}: {done} in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
