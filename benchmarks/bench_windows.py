"""Windows of the scene (`sam.window`) against up-sampled tiles: seconds, and how good the pseudo-masks are.

Takes a finished run with true masks, its tiles, CAMs and prompts, and makes its pseudo-masks anew each way:

    make demo && python -m benchmarks.bench_windows
    python -m benchmarks.bench_windows --results results/jinsha --overlay config/jinsha.yaml --data-dir /path/to/data
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apsam.config import Config, read_config
from apsam.metrics.counts import Counts
from apsam.metrics.scene import MeasuredScene, TileTruth
from apsam.prompts import read_prompts
from apsam.sam.encode_scene import encode_scene
from apsam.sam.registry import LoadedSam, build_sam
from apsam.sam.segment import segment_scene
from apsam.sam.settings import SamSettings
from apsam.scenes import Scene, read_scene_sheet
from apsam.stack import TileStack
from benchmarks.measuring import set_up, write

SUMMED = ("encoded", "encode_s", "masks_s", "megabytes")
WAYS = {"tiles": None, "windows of 512 px": 512, "windows of 1024 px": 1024}


def scenes_of(config: Config, results: Path, data_dir: Path | None) -> list[Scene]:
    """The scenes of a run that have prompts and a true mask, with the files of synthetic ones."""
    found = []
    for scene in read_scene_sheet(config.scenes, data_dir or config.data_dir):
        image, mask = scene.image, scene.mask
        if scene.kind == "synthetic":
            image, mask = (results / "scenes" / f"{scene.name}{ending}.tif" for ending in ("", "_mask"))
        if mask is not None and scene.kind != "folder" and (results / "prompts" / f"{scene.name}.json").is_file():
            found.append(Scene(scene.name, "raster", image, None, mask, scene.split))
    return found


def measure_scene(scene: Scene, results: Path, sam: LoadedSam, settings: SamSettings, config: Config) -> dict[str, Any]:
    """Encode a scene one way, ask for its masks, and count them on its positive tiles."""
    tiles, cams = (results / stage / f"{scene.name}.zarr.zip" for stage in ("tiles", "cams"))
    with tempfile.TemporaryDirectory(dir=results) as folder:
        embeddings = Path(folder) / "e.zarr.zip"
        clock = [time.perf_counter()]
        encode_scene(tiles, embeddings, settings, sam=sam, image=scene.image)
        clock.append(time.perf_counter())
        prompts = read_prompts(results / "prompts" / f"{scene.name}.json")
        masks = {mask.tile: mask.mask for mask in segment_scene(sam, embeddings, cams, prompts, config.masks)}
        clock.append(time.perf_counter())
        with TileStack(embeddings) as stack:
            encoded = len(stack)
        size = embeddings.stat().st_size
    counts, ious = Counts(), []
    with TileTruth(MeasuredScene(scene, tiles)) as truth, TileStack(tiles) as stack:
        for tile in np.flatnonzero(truth.label == 1).tolist():
            valid = stack.read("valid", tile, tile + 1)[0]
            guess = np.where(valid > 0, masks.get(tile, np.zeros_like(valid)), 255)
            count = Counts.of(guess, truth.tile(tile))
            counts += count
            ious.append(count.iou or 0.0)
    return {
        "encoded": encoded,
        "encode_s": clock[1] - clock[0],
        "masks_s": clock[2] - clock[1],
        "megabytes": size / 1e6,
        "counts": counts,
        "ious": ious,
    }


@torch.no_grad()
def main() -> None:
    files = {
        "results": (Path("results/demo"), "a finished run, or one that has its prompts"),
        "overlay": (None, "its configuration, over config.yaml"),
        "data_dir": (None, "as `data_dir` of the configuration"),
    }
    setup = set_up(__doc__, sam="light", sizes={"scenes": (100, 1, "scenes at most")}, files=files)
    options = setup.options
    if not (options.results / "prompts").is_dir():
        print(f"{options.results}: no run to measure windows on; `make demo` makes one", file=sys.stderr)
        return
    config = read_config(*[path for path in (Path("config.yaml"), options.overlay) if path])
    scenes = scenes_of(config, options.results, options.data_dir)[: options.scenes]
    sam = build_sam(options.sam, device=setup.device)
    rows: dict[str, dict[str, Any]] = {}
    for way, window in WAYS.items():
        settings = SamSettings(name=options.sam, window=window)
        found = [measure_scene(scene, options.results, sam, settings, config) for scene in scenes]
        counts = sum((one["counts"] for one in found), Counts())
        rows[way] = {
            **{
                key: round(sum(one[key] for one in found), 2) for key in ("encoded", "encode_s", "masks_s", "megabytes")
            },
            "tiles": sum(len(one["ious"]) for one in found),
            "iou": round(counts.iou or 0, 4),
            "f1": round(counts.f1 or 0, 4),
            "mean_iou": round(float(np.mean(np.concatenate([one["ious"] for one in found]))), 4),
        }
        print(way, rows[way], file=sys.stderr, flush=True)
    names = [scene.name for scene in scenes]
    write("windows", setup.device, of=os.path.basename(options.results), sam=options.sam, scenes=names, windows=rows)


if __name__ == "__main__":
    main()
