"""Measure all tables of docs/performance.md that need a GPU, within a budget of its time, and write them.

    python -m benchmarks.gpu                  8 minutes at most
    python -m benchmarks.gpu --minutes 5 --only encode floor

All run in one process, the most important first, so that nothing is imported twice. A benchmark whose estimated time no
longer fits into the budget is skipped and reported; a failing one does not stop the others.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from benchmarks.tables import write_all_tables


@dataclass(frozen=True)
class Run:
    """One benchmark on a GPU.

    Attributes:
        name: Of its module, `benchmarks.bench_<name>`.
        arguments: Of its command line.
        seconds: Maximum time, estimated for a data-centre GPU, including start-up and models on the CPU.
    """

    name: str
    arguments: tuple[str, ...]
    seconds: int


RUNS = (
    Run("encode", ("--sam", "vit_h", "--tiles", "16", "--repeats", "2"), 130),
    Run("floor", ("--sam", "vit_h", "--batch", "8"), 30),
    Run("train", (), 30),
    Run("backbone", (), 15),
    Run("decode", ("--tiles", "100", "--prompts", "400"), 50),
    Run("sweep", ("--sam", "vit_h", "--tiles", "8"), 40),
    Run("demo", (), 150),
)


def measure_all(
    runs: Sequence[Run],
    budget_s: float,
    device: str = "cuda",
    extra: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, str]:
    """Run benchmarks in turn while their estimated time fits into the budget.

    Args:
        runs: In order of importance.
        budget_s: Seconds for all of them.
        device: Device of the benchmarks.
        extra: Further arguments for each of them.
        clock: Returns the time, seconds.

    Returns:
        Benchmark -> `measured`, or the reason why it was not.
    """
    started, outcome = clock(), {}
    for run in runs:
        left = budget_s - (clock() - started)
        if run.seconds > left:
            outcome[run.name] = f"left out: it takes {run.seconds} s, {left:.0f} s are left"
        else:
            print(f"{run.name}: up to {run.seconds} s of {left:.0f} s", file=sys.stderr, flush=True)
            outcome[run.name] = _measure(run, device, extra)
        # Free the memory of the last benchmark for the next one.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return outcome


def _measure(run: Run, device: str, extra: Sequence[str]) -> str:
    with _command_line(run.name, *run.arguments, "--device", device, *extra):
        try:
            importlib.import_module(f"benchmarks.bench_{run.name}").main()
        except (Exception, SystemExit) as error:  # a failing one must not stop the others
            traceback.print_exc()
            return f"failed: {type(error).__name__}: {error}"
    return "measured"


@contextmanager
def _command_line(*arguments: str) -> Iterator[None]:
    before = sys.argv
    sys.argv = list(arguments)
    try:
        yield
    finally:
        sys.argv = before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="budget (default: 8)")
    parser.add_argument("--only", nargs="+", choices=[run.name for run in RUNS], help="these alone")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU that torch can use: `python -m benchmarks` measures a processor")
    runs = [run for run in RUNS if arguments.only is None or run.name in arguments.only]
    outcome = measure_all(runs, 60 * arguments.minutes)
    write_all_tables()
    for name, said in outcome.items():
        print(f"{name}: {said}")
    if set(outcome.values()) != {"measured"}:
        sys.exit(1)


if __name__ == "__main__":
    main()
