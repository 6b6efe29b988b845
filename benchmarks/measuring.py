"""Measure alternatives in turns and write what was measured, on what."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from apsam.files import write_json

MEASURED = Path(__file__).parent / "measured"


def measure(candidates: dict[str, Callable[[], Any]], repeats: int, warm: bool = True) -> dict[str, dict[str, Any]]:
    """Run the candidates in turns, so that what else the machine does hits all of them alike.

    Args:
        candidates: Name -> what is timed.
        repeats: Rounds that count.
        warm: Whether a round that does not count goes first.

    Returns:
        Name -> seconds of wall clock and of processor time over all threads: median, lowest, highest.
    """
    wall: dict[str, list[float]] = {name: [] for name in candidates}
    processor: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(-int(warm), repeats):
        for name, run in candidates.items():
            synchronise()
            started, used = time.perf_counter(), time.process_time()
            run()
            synchronise()
            if turn >= 0:
                wall[name].append(time.perf_counter() - started)
                processor[name].append(time.process_time() - used)
                print(f"{name}: {wall[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return {name: {"wall_s": spread(wall[name]), "processor_s": spread(processor[name])} for name in candidates}


def synchronise() -> None:
    """Wait for a GPU to finish what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest of some seconds."""
    return {
        "median": round(statistics.median(values), 4),
        "lowest": round(min(values), 4),
        "highest": round(max(values), 4),
    }


def ratio(measured: dict[str, dict[str, Any]], slow: str, fast: str) -> dict[str, float]:
    """How many times faster `fast` is: medians of wall clock, and of processor time, which a busy machine spares."""
    return {
        clock: round(measured[slow][clock]["median"] / measured[fast][clock]["median"], 2)
        for clock in ("wall_s", "processor_s")
    }


def machine(device: torch.device) -> dict[str, Any]:
    """Processor or GPU, threads, load by others, and the versions that matter."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "load_1min": round(os.getloadavg()[0], 1),
        "bf16_instructions": bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
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


def write(name: str, device: torch.device, **content: Any) -> Path:
    """Write one measurement to `benchmarks/measured/<name>.json`, with the machine and the command."""
    path = MEASURED / f"{name}.json"
    command = " ".join(["python", "-m", f"benchmarks.bench_{name}", *sys.argv[1:]])
    write_json(path, {"command": command, "machine": machine(device), **content})
    print(path)
    return path


def _processor() -> str:
    """Model name of the CPU, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
