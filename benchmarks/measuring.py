"""Shared parts of all benchmarks: options, measuring alternatives in turns, writing results with the machine."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apsam.device import bf16_pays, cpu_has, pick_device, set_threads
from apsam.files import write_json
from apsam.sam.registry import NAMES

MEASURED = Path(__file__).parent / "measured"
TILE = 256


@dataclass(frozen=True)
class Setup:
    """Arguments of a benchmark.

    Attributes:
        options: The benchmark's own sizes, and `sam`, by name.
        device: Where to compute.
        repeats: Rounds that count.
        short: Whether the sizes are small, for a few minutes at most.
    """

    options: argparse.Namespace
    device: torch.device
    repeats: int
    short: bool

    def images(self, count: int) -> np.ndarray:
        """Return tiles of random pixels, (count, 3, 256, 256) uint8, because speed does not depend on their content."""
        return np.random.default_rng(0).integers(0, 256, (count, 3, TILE, TILE), np.uint8)


def set_up(
    doc: str,
    sam: str = "vit_b",
    sams: Sequence[str] = NAMES,
    sizes: dict[str, tuple[int, int, str]] | None = None,
    files: dict[str, tuple[Path | None, str]] | None = None,
    flags: dict[str, str] | None = None,
) -> Setup:
    """Read a benchmark's command line; set threads and seed.

    Args:
        doc: The module's docstring.
        sam: Default of `--sam`.
        sams: Allowed values.
        sizes: Name -> (default, default with `--short`, meaning); includes `repeats` if its defaults are not 3 and 1.
        files: Name -> (default, meaning).
        flags: Name -> meaning; off by default.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="sizes that take some minutes at most on two cores")
    parser.add_argument("--sam", choices=sams, default=sam)
    parser.add_argument("--device", default="auto", help="cpu, cuda")
    parser.add_argument("--threads", type=int)
    every = {"repeats": (3, 1, "rounds that count"), **(sizes or {})}
    for name, (full, short, meaning) in every.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=int, help=f"{meaning} (default: {full}, with --short {short})")
    for name, (default, meaning) in (files or {}).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, default=default, help=meaning)
    for name, meaning in (flags or {}).items():
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=meaning)
    options = parser.parse_args()
    for name, (full, short, _) in every.items():
        if getattr(options, name) is None:
            setattr(options, name, short if options.short else full)
    set_threads(options.threads)
    torch.manual_seed(0)
    return Setup(options, pick_device(options.device), options.repeats, options.short)


def measure(candidates: dict[str, Callable[[], Any]], repeats: int, warm: bool = True) -> dict[str, dict[str, Any]]:
    """Run the candidates in turns, so that other load on the machine affects all of them equally.

    Args:
        candidates: Name -> function to time.
        repeats: Rounds that count.
        warm: Whether a warm-up round is run first.

    Returns:
        Name -> seconds of wall clock and of processor time over all threads: median, lowest, highest; on a GPU also the
        most memory its tensors took, GB.
    """
    wall: dict[str, list[float]] = {name: [] for name in candidates}
    processor: dict[str, list[float]] = {name: [] for name in candidates}
    memory: dict[str, float] = {}
    for turn in range(-int(warm), repeats):
        for name, run in candidates.items():
            synchronise()
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            started, used = time.perf_counter(), time.process_time()
            run()
            synchronise()
            if torch.cuda.is_available():
                memory[name] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
            if turn >= 0:
                wall[name].append(time.perf_counter() - started)
                processor[name].append(time.process_time() - used)
                print(f"{name}: {wall[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return {
        name: {
            "wall_s": spread(wall[name]),
            "processor_s": spread(processor[name]),
            **({"gpu_memory_gb": memory[name]} if memory else {}),
        }
        for name in candidates
    }


def synchronise() -> None:
    """Wait until a GPU has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(values: list[float]) -> dict[str, float]:
    """Return median, lowest and highest of some seconds."""
    return {
        "median": round(statistics.median(values), 4),
        "lowest": round(min(values), 4),
        "highest": round(max(values), 4),
    }


def ratio(measured: dict[str, dict[str, Any]], slow: str, fast: str) -> dict[str, float]:
    """Return how many times faster `fast` is, by wall clock and by processor time, which excludes other load."""
    return {
        clock: round(measured[slow][clock]["median"] / measured[fast][clock]["median"], 2)
        for clock in ("wall_s", "processor_s")
    }


def machine(device: torch.device) -> dict[str, Any]:
    """Return processor or GPU, threads, load by others, and the relevant versions."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "load_1min": round(os.getloadavg()[0], 1),
        "bf16_instructions": bf16_pays(torch.device("cpu")),
        "amx": cpu_has("amx_tile"),
        "python": platform.python_version(),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    for package in ("torch", "segment-anything", "transformers", "apsam"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = None
    return facts


def write(name: str, device: torch.device, of: str = "", **content: Any) -> Path:
    """Write one measurement to `benchmarks/measured/<name>.json`, with the machine and the command.

    With `of`, one of several runs, it is `<name>_<of>.json`; on a GPU `<name>_cuda.json`.
    """
    parts = [name, *([of] if of else []), *([] if device.type == "cpu" else [device.type])]
    path = MEASURED / f"{'_'.join(parts)}.json"
    # Paths of this machine are meaningless elsewhere.
    arguments = [f".../{Path(each).name}" if Path(each).is_absolute() else each for each in sys.argv[1:]]
    command = " ".join(["python", "-m", f"benchmarks.bench_{name}", *arguments])
    write_json(path, {"command": command, "machine": machine(device), **content})
    print(path)
    return path


def _processor() -> str:
    """Return the model name of the CPU, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
