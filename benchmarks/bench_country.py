"""Estimate time and storage for a country: rates and sizes of every stage on one synthetic scene, extrapolated.

    python -m benchmarks.bench_country --run results/demo

Times are processor time of one core, or wall clock on a GPU; start-up is left out, so that they apply to
long jobs. The networks are those of a finished run: their CAMs determine the number of prompts. Writes the table
of docs/scaling.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from apsam.config import Config, read_config
from apsam.device import pick_device, set_threads
from apsam.files import read_json
from apsam.localizer.cam import make_cams
from apsam.masks.prompted import make_prompted_masks
from apsam.prompts.files import make_prompts
from apsam.resunet.predict import predict_raster
from apsam.sam.encode_scene import encode_scene
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.synthetic.scene import make_scene, write_scene
from apsam.tiles.tiling import tile_scene
from benchmarks.measuring import write

DOCUMENT = Path(__file__).parents[1] / "docs" / "scaling.md"
START, END = "<!-- country -->", "<!-- end of country -->"
STAGES = {"tile": False, "cams": True, "encode": True, "prompts": False, "masks": True, "predict": True}


def measure_stages(config: Config, run: Path, side: int, folder: Path) -> dict[str, Any]:
    """Measure seconds of processor time and bytes per tile for every stage, on one scene of `side` pixels."""
    names = ("scene.tif", "mask.tif", "tiles.zarr.zip", "cams.zarr.zip", "prompts.json", "embeddings.zarr.zip")
    image, reference, tiles, cams, prompts, embeddings = (folder / name for name in names)
    masks, maps = folder / "masks.zarr.zip", [folder / "probability.tif", folder / "mask_map.tif"]
    write_scene(make_scene("country", config.synthetic.model_copy(update={"size_px": side})), image, reference)
    scene = Scene("country", "raster", image, None, reference, "train")
    stages: dict[str, tuple[Callable[[], object], list[Path]]] = {
        "tile": (lambda: tile_scene(scene, config.tiles, config.labels, config.split, tiles), [tiles]),
        "cams": (lambda: make_cams(tiles, run / "localizer/weights.safetensors", cams, config.cams), [cams]),
        "prompts": (lambda: make_prompts(cams, config.prompts, prompts), [prompts]),
        "encode": (lambda: encode_scene(tiles, embeddings, config.sam), [embeddings]),
        "masks": (
            lambda: make_prompted_masks(tiles, cams, prompts, embeddings, config.sam, config.masks, masks),
            [masks],
        ),
        "predict": (
            lambda: predict_raster(
                image, run / "resunet/apsam/weights.safetensors", config.tiles, config.maps, maps[0], maps[1]
            ),
            maps,
        ),
    }
    clock = time.process_time if pick_device().type == "cpu" else time.perf_counter
    seconds, size = {}, {}
    for name, (work, files) in stages.items():
        started = clock()
        work()
        seconds[name] = clock() - started
        size[name] = sum(file.stat().st_size for file in files)
    with TileStack(tiles) as stack:
        count, positive = len(stack), int(np.count_nonzero(stack.read("label") == 1))
    # CAMs, embeddings and prompts exist for tiles labelled positive only.
    of = {name: positive if name in ("cams", "prompts", "encode", "masks") else count for name in stages}
    return {
        "tiles": count,
        "positive": positive,
        "seconds_a_tile": {name: round(seconds[name] / of[name], 5) for name in stages},
        "bytes_a_tile": {name: round(size[name] / of[name]) for name in stages},
    }


def plan(rates: dict[str, Any], config: Config, area_km2: float, resolution: float, positive: float) -> dict[str, Any]:
    """Return tiles, jobs, storage and core hours of an area."""
    pixels = area_km2 * 1e6 / resolution**2
    tiles = pixels / config.tiles.stride**2
    windows = pixels / config.maps.stride(config.tiles.size) ** 2
    of = {name: tiles * positive for name in ("cams", "prompts", "encode", "masks")} | {"tile": tiles}
    of["predict"] = windows
    stages = {
        name: {
            "tiles": round(of[name]),
            "jobs": round(np.ceil((windows if name == "predict" else tiles) / config.tiles.block_tiles)),
            "storage_gb": round(of[name] * rates["bytes_a_tile"][name] / 1e9, 1),
            "core_hours": round(of[name] * rates["seconds_a_tile"][name] / 3600, 1),
        }
        for name in rates["seconds_a_tile"]
    }
    return {"area_km2": area_km2, "resolution_m": resolution, "positive_share": positive, "stages": stages}


def render(result: dict[str, Any]) -> str:
    """Format the table of docs/scaling.md."""
    plan, rates, gpu = result["plan"], result["rates"], result["machine"].get("gpu")
    unit = "GPU or core" if gpu else "core"
    lines = [
        f"`{result['command']}`  ",
        f"{gpu or result['machine']['processor'] + ', one core'}; SAM `{result['sam']}`; "
        f"load {result['machine']['load_1min']}; rates from {rates['tiles']} tiles, {rates['positive']} positive",
        "",
        f"| stage | tiles | jobs | s a tile | hours of a {unit} | storage, GB | on a GPU |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, uses_gpu in STAGES.items():
        row = plan["stages"][name]
        measured = ("measured" if gpu else "open") if uses_gpu else "uses none"
        lines.append(
            f"| {name} | {row['tiles']:,} | {row['jobs']:,} | {rates['seconds_a_tile'][name]:.4f} | "
            f"{row['core_hours']:,} | {row['storage_gb']:,} | {measured} |"
        )
    total = [sum(row[key] for row in plan["stages"].values()) for key in ("jobs", "core_hours", "storage_gb")]
    lines.append(f"| together | | {total[0]:,} | | {total[1]:,.0f} | {total[2]:,.0f} | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("results/demo"), help="a finished run, for its networks")
    parser.add_argument("--side", type=int, default=2048, help="side of the scene, pixels")
    parser.add_argument("--area", type=float, default=100_000, help="km2")
    parser.add_argument("--resolution", type=float, default=0.5, help="m")
    parser.add_argument("--positive", type=float, default=0.05, help="share of tiles labelled positive")
    arguments = parser.parse_args()
    set_threads(1)
    config = read_config(arguments.run / "report" / "config.yaml")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rates = measure_stages(config, arguments.run, arguments.side, Path(folder))
    device = pick_device()
    result = {"sam": config.sam.name, "rates": rates}
    result["plan"] = plan(rates, config, arguments.area, arguments.resolution, arguments.positive)
    result = read_json(write("country", device, **result))
    result["machine"]["load_1min"] = round(load, 1)
    text = DOCUMENT.read_text()
    before, rest = text.split(START, 1)
    DOCUMENT.write_text(f"{before}{START}\n{render(result)}\n{END}{rest.split(END, 1)[1]}")
    print(render(result))


if __name__ == "__main__":
    main()
