"""Measure memory of the stages `encode` and `masks` on scenes with more and more tiles: it must not grow.

Each stage runs in a separate process, as in the workflow; the system reports its highest resident memory. The
scenes are artificial: a few repeated patterns, with a small share of tiles labelled positive and prompted, because
each positive tile needs the same time and memory. 15,000 tiles are a scene of 20,000 x 20,000 px.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from apsam.prompts.files import make_prompts
from apsam.prompts.settings import PromptSettings
from apsam.stack import TileStackWriter
from benchmarks.measuring import TILE, set_up, write

ROOT = Path(__file__).parents[1]
BATCH = 256


def make_scene(folder: Path, tiles: int, every: int) -> None:
    """Write tiles, CAMs and prompts of a scene of which every `every`-th tile is positive."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (BATCH, 3, TILE // 8, TILE // 8), np.uint8).repeat(8, 2).repeat(8, 3)
    y, x = np.mgrid[:TILE, :TILE]
    hill = (255 * np.exp(-((x - 110) ** 2 + (y - 140) ** 2) / 2500)).astype(np.uint8)
    specs = {"image": ((3, TILE, TILE), "uint8"), "valid": ((TILE, TILE), "uint8"), "label": ((), "uint8")}
    attributes = {"scene": "a", "tile_size": TILE, "kind": "folder"}
    with (
        TileStackWriter(folder / "tiles.zarr.zip", attributes, specs) as stack,
        TileStackWriter(folder / "cams.zarr.zip", {"scene": "a"}, {"cam": ((TILE, TILE), "uint8")}) as cams,
    ):
        for start in range(0, tiles, BATCH):
            label = (np.arange(start, min(start + BATCH, tiles)) % every == 0).astype(np.uint8)
            ones = np.ones((len(label), TILE, TILE), np.uint8)
            stack.append(image=patterns[: len(label)], valid=ones, label=label)
            cams.append(cam=ones * 0 + hill * label[:, None, None])
    make_prompts(folder / "cams.zarr.zip", PromptSettings(), folder / "p.json")


def run_stage(script: str, *arguments: str) -> dict[str, float]:
    """Run a script of the workflow; return its highest resident memory, MB, and seconds."""
    threads = ["--threads", str(torch.get_num_threads())]
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *arguments, *threads]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{script} ended with {os.waitstatus_to_exitcode(status)}")
    return {"peak_mb": round(usage.ru_maxrss / 1024), "seconds": round(time.perf_counter() - started, 1)}


def main() -> None:
    sizes = {
        "fewest": (1000, 200, "tiles of the smallest scene"),
        "most": (15000, 2000, "tiles of the largest scene"),
        "every": (100, 50, "one tile in so many is positive"),
    }
    setup = set_up(__doc__, sam="light", sizes=sizes)
    options = setup.options
    counts = sorted({options.fewest, round((options.fewest * options.most) ** 0.5), options.most})
    settings = json.dumps({"name": options.sam})
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_scene(folder, count, options.every)
            tiles, cams, embeddings = (str(folder / f"{one}.zarr.zip") for one in ("tiles", "cams", "embeddings"))
            encode = run_stage(
                "encode", "--tiles", tiles, "--settings", settings, "--device", str(setup.device),
                "--output", embeddings,
            )  # fmt: skip
            masks = run_stage(
                "masks", "masks-apsam", "--tiles", tiles, "--cams", cams, "--prompts", str(folder / "p.json"),
                "--embeddings", embeddings, "--sam", settings, "--device", str(setup.device),
                "--output", str(folder / "masks.zarr.zip"),
            )  # fmt: skip
        rows.append({"tiles": count, "encoded": -(-count // options.every), "encode": encode, "masks": masks})
        print(rows[-1], file=sys.stderr, flush=True)
    write("memory", setup.device, sam=options.sam, memory=rows)


if __name__ == "__main__":
    main()
