"""Show progress of long work: a bar on a terminal, a few plain lines in a log, and one final line on both."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

LINES_IN_A_LOG = 10


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` and show progress: how many are done, the rate, the remaining time.

    Args:
        items: The items to process, one after the other.
        description: Name of the work, for example "cams of valley_1".
        total: Number of items; the default is the length of `items`, if it has one.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]  # hasattr tells no type
    follow = _bar if sys.stderr.isatty() else _lines
    yield from follow(items, description, total)


def _bar(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(_rate(task.speed) if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    start, done = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)
        for done, item in enumerate(items, 1):
            yield item
            progress.update(task, completed=done)
    _log_line(_summary(description, done, time.monotonic() - start))


def _lines(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    start, done = time.monotonic(), 0
    every = max(1, total // LINES_IN_A_LOG) if total else None
    for done, item in enumerate(items, 1):
        yield item
        if every and total and done % every == 0 and done < total:
            seconds = time.monotonic() - start
            left = seconds / done * (total - done)
            _log_line(f"{description}: {done}/{total}, {_rate(done / max(seconds, 1e-9))}, {left:.0f} s left")
    _log_line(_summary(description, done, time.monotonic() - start))


def _summary(description: str, done: int, seconds: float) -> str:
    rate = f", {_rate(done / max(seconds, 1e-9))}" if done else ""
    return f"{description}: {done} in {seconds:.1f} s{rate}"


def _rate(a_second: float) -> str:
    """Format a rate as items per second, or as seconds per item if that is easier to read."""
    return f"{a_second:.1f} a second" if a_second >= 1 else f"{1 / a_second:.1f} s each"


def _log_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
