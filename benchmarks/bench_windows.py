"""Windows of the scene (`sam.window`), compared with up-sampled tiles: time, and quality of the pseudo-masks.

Takes a finished run with reference masks, its tiles, CAMs and prompts, and makes its pseudo-masks with each variant:

    make demo && python -m benchmarks.bench_windows
    python -m benchmarks.bench_windows --results results/jinsha --overlay config/jinsha.yaml --data-dir /path/to/data

With `--true-prompts` it needs no run: the prompts are those of the reference masks, a box and a point for each of their
regions, which measures SAM without the localizer.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apsam.config import Config, read_config
from apsam.metrics.counts import Counts
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.prompts.files import make_prompts, read_prompts
from apsam.sam.encode_scene import encode_scene
from apsam.sam.registry import LoadedSam, build_sam
from apsam.sam.segment import segment_scene
from apsam.sam.settings import SamSettings
from apsam.scenes import Scene, read_scene_sheet
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.tiling import tile_scene
from benchmarks.measuring import set_up, write

SUMMED = ("encoded", "encode_s", "encode_processor_s", "masks_s", "masks_processor_s", "megabytes")
WAYS = {"tiles": None, "windows of 512 px": 512, "windows of 1024 px": 1024}


def scenes_of(config: Config, results: Path, data_dir: Path | None) -> list[Scene]:
    """Return the scenes of a run that exist and have a reference mask, with the files of synthetic ones."""
    found = []
    for scene in read_scene_sheet(config.scenes, data_dir or config.data_dir):
        image, mask = scene.image, scene.mask
        if scene.kind == "synthetic":
            image, mask = (results / "scenes" / f"{scene.name}{ending}.tif" for ending in ("", "_mask"))
        if mask is not None and scene.kind != "folder" and image.is_file():
            found.append(Scene(scene.name, "raster", image, None, mask, scene.split))
    return found


def true_run(scenes: list[Scene], config: Config, folder: Path) -> list[Scene]:
    """Tile scenes and make prompts from their reference masks in place of CAMs, in `folder` as in a run."""
    for scene in scenes:
        tiles, cams = (folder / stage / f"{scene.name}.zarr.zip" for stage in ("tiles", "cams"))
        tile_scene(scene, config.tiles, config.labels, config.split, tiles)
        with TileReferenceMasks(MeasuredScene(scene, tiles)) as reference:
            square = (reference.size, reference.size)
            with TileStackWriter(cams, {"scene": scene.name}, {"cam": (square, "uint8")}) as writer:
                for tile in range(len(reference.label)):
                    writer.append(cam=255 * (reference.tile(tile) == 1).astype(np.uint8)[None])
        make_prompts(cams, config.prompts, folder / "prompts" / f"{scene.name}.json")
    return scenes


def _clocks() -> dict[str, float]:
    return {"s": time.perf_counter(), "processor_s": time.process_time()}


def measure_scene(scene: Scene, results: Path, sam: LoadedSam, settings: SamSettings, config: Config) -> dict[str, Any]:
    """Encode a scene with one variant, predict its masks, and count them on its positive tiles."""
    tiles, cams = (results / stage / f"{scene.name}.zarr.zip" for stage in ("tiles", "cams"))
    with tempfile.TemporaryDirectory(dir=results) as folder:
        embeddings = Path(folder) / "e.zarr.zip"
        clocks = [_clocks()]
        encode_scene(tiles, embeddings, settings, sam=sam, image=scene.image)
        clocks.append(_clocks())
        prompts = read_prompts(results / "prompts" / f"{scene.name}.json")
        masks = {mask.tile: mask.mask for mask in segment_scene(sam, embeddings, cams, prompts.tiles, config.masks)}
        clocks.append(_clocks())
        with TileStack(embeddings) as stack:
            encoded = len(stack)
        size = embeddings.stat().st_size
    counts, ious = Counts(), []
    with TileReferenceMasks(MeasuredScene(scene, tiles)) as reference, TileStack(tiles) as stack:
        for tile in np.flatnonzero(reference.label == 1).tolist():
            valid = stack.read("valid", tile, tile + 1)[0]
            guess = np.where(valid > 0, masks.get(tile, np.zeros_like(valid)), 255)
            count = Counts.of(guess, reference.tile(tile))
            counts += count
            ious.append(count.iou or 0.0)
    return {
        "encoded": encoded,
        **{
            f"{stage}_{kind}": after[kind] - before[kind]
            for stage, before, after in (("encode", *clocks[:2]), ("masks", *clocks[1:]))
            for kind in before
        },
        "megabytes": size / 1e6,
        "counts": counts,
        "ious": ious,
    }


def measure_way(way: str, scenes: list[Scene], run: Path, sam: LoadedSam, config: Config) -> dict[str, Any]:
    """Encode and segment all scenes with one variant; return sums of times, counts and sizes."""
    settings = SamSettings(name=sam.name, window=WAYS[way])
    found = [measure_scene(scene, run, sam, settings, config) for scene in scenes]
    counts = sum((one["counts"] for one in found), Counts())
    row = {
        **{key: round(sum(one[key] for one in found), 2) for key in SUMMED},
        "tiles": sum(len(one["ious"]) for one in found),
        "iou": round(counts.iou or 0, 4),
        "f1": round(counts.f1 or 0, 4),
        "mean_iou": round(float(np.mean(np.concatenate([one["ious"] for one in found]))), 4),
    }
    print(way, row, file=sys.stderr, flush=True)
    return row


@torch.no_grad()
def main() -> None:
    files = {
        "results": (Path("results/demo"), "a finished run, or one that has its prompts"),
        "overlay": (None, "its configuration, over config.yaml"),
        "data_dir": (None, "as `data_dir` of the configuration"),
    }
    setup = set_up(
        __doc__,
        sam="light",
        sizes={"scenes": (100, 1, "scenes at most")},
        files=files,
        flags={"true_prompts": "prompts of the reference masks; no run is needed"},
    )
    options = setup.options
    config = read_config(*[path for path in (Path("config.yaml"), options.overlay) if path])
    scenes = scenes_of(config, options.results, options.data_dir)[: options.scenes]
    sam = build_sam(options.sam, device=setup.device)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) if options.true_prompts else options.results
        if options.true_prompts:
            true_run(scenes, config, run)
        scenes = [scene for scene in scenes if (run / "prompts" / f"{scene.name}.json").is_file()]
        if not scenes:
            print(f"{run}: no prompts of scenes with a reference mask; `make demo` makes some", file=sys.stderr)
            return
        rows = {way: measure_way(way, scenes, run, sam, config) for way in WAYS}
    names = [scene.name for scene in scenes]
    of = f"{options.results.name}{'_true_prompts' if options.true_prompts else ''}"
    write("windows", setup.device, of=of, sam=options.sam, scenes=names, windows=rows)


if __name__ == "__main__":
    main()
