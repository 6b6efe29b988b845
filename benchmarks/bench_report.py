"""Measure time, size and memory of the report of a run of 10,000 tiles.

The run is artificial: mirrored copies of two synthetic scenes, whose CAMs and masks are blurred or shifted reference
masks, so that making it takes only a minute or two; the report reads it like any other run.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin

from apsam.config import Config
from apsam.maps.cog import MapWriter, apply_threshold, from_steps, to_steps
from apsam.prompts.files import make_prompts
from apsam.report.page import make_report
from apsam.scenes import Scene
from apsam.stack import TileStackWriter
from apsam.synthetic.scene import make_scene
from apsam.synthetic.settings import SyntheticSettings
from apsam.tiles.windows import tile_windows
from benchmarks.measuring import set_up, write

TILE, STRIDE, BASE = 256, 154, 768
ROWS, COLS = 25, 50


class Mirrored:
    """A large field made of mirrored copies of a small one."""

    def __init__(self, base: np.ndarray, height: int, width: int) -> None:
        self.base = base
        self.rows, self.cols = (self._fold(np.arange(side), base.shape[0]) for side in (height, width))

    @staticmethod
    def _fold(index: np.ndarray, side: int) -> np.ndarray:
        index = index % (2 * side)
        return np.where(index < side, index, 2 * side - 1 - index)

    def at(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """Return one window."""
        return self.base[self.rows[row : row + height]][:, self.cols[col : col + width]]


def fake_scene(run: Path, name: str, part: int, fields: dict[str, np.ndarray]) -> None:
    """Write every file that the report reads of a scene."""
    height, width = ((count - 1) * STRIDE + TILE for count in (ROWS, COLS))
    large = {key: Mirrored(field, height, width) for key, field in fields.items()}
    windows = tile_windows(height, width, TILE, STRIDE)
    place = {"crs": rasterio.crs.CRS.from_epsg(32648), "transform": from_origin(500000, 3000000, 0.5, 0.5)}
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": height, "width": width, **place}
    (run / "scenes").mkdir(parents=True, exist_ok=True)
    # Only the image's grid is read: the report takes pixels from the tiles.
    with rasterio.open(run / f"scenes/{name}.tif", "w", sparse_ok=True, **profile):
        pass
    with rasterio.open(run / f"scenes/{name}_mask.tif", "w", compress="deflate", tiled=True, **profile) as raster:
        raster.write(large["mask"].at(0, 0, height, width), 1)
    reference = [large["mask"].at(*window) for window in windows.tolist()]
    label = np.array([mask.any() for mask in reference], np.uint8)
    attributes = {
        "scene": name, "kind": "raster", "tile_size": TILE, "crs": place["crs"].to_wkt(), "height": height,
        "width": width, "transform": list(place["transform"])[:6], "names": None, "resolution_m": 0.5,
        "image_sha256": "0" * 64,
    }  # fmt: skip
    square = (TILE, TILE)
    specs = {"image": ((3, *square), "uint8"), "valid": (square, "uint8"), "label": ((), "uint8"),
             "part": ((), "uint8"), "window": ((4,), "int32")}  # fmt: skip
    with TileStackWriter(run / f"tiles/{name}.zarr.zip", attributes, specs) as writer:
        for start in range(0, len(windows), 250):
            some = windows[start : start + 250]
            images = np.stack([large["image"].at(*window).transpose(2, 0, 1) for window in some.tolist()])
            count = len(some)
            writer.append(
                image=images, valid=np.ones((count, *square), np.uint8), label=label[start : start + count],
                part=np.full(count, part, np.uint8), window=some,
            )  # fmt: skip
    cams = run / f"cams/{name}.zarr.zip"
    with TileStackWriter(cams, {"scene": name}, {"cam": (square, "uint8")}) as writer:
        writer.append(cam=np.stack([large["cam"].at(*w) * v for w, v in zip(windows.tolist(), label, strict=True)]))
    make_prompts(cams, Config().prompts, run / f"prompts/{name}.json")
    for source in ("apsam", "cam", "grabcut"):
        field = large["found" if source == "apsam" else "mask"]
        more = {"threshold": ((), "int16"), "score": ((), "float32")} if source == "apsam" else {}
        path = run / f"masks/{source}/{name}.zarr.zip"
        attributes, specs = {"scene": name, "checkpoint": "0" * 64}, {"mask": (square, "uint8"), **more}
        with TileStackWriter(path, attributes, specs) as writer:
            values = {"mask": np.stack([field.at(*w) * v for w, v in zip(windows.tolist(), label, strict=True)])}
            if more:
                values |= {"threshold": np.full(len(label), 120, np.int16), "score": label.astype(np.float32)}
            writer.append(**values)
    if part:
        steps = to_steps(large["probability"].at(0, 0, height, width))
        for source in ("apsam", "cam"):
            for kind, values in (("probability", steps), ("mask", apply_threshold(from_steps(steps), 0.5))):
                path = run / f"maps/{source}/{name}_{kind}.tif"
                with MapWriter(path, kind, height, width, *place.values(), {}) as writer:  # type: ignore[arg-type]
                    writer.write(0, values)


def build(run: Path, count: int) -> list[Scene]:
    """Write a run of `count` scenes; returns its scene sheet."""
    settings = SyntheticSettings(size_px=BASE, no_data_share=0.0)
    scenes, fields = [], {}
    for index in range(count):
        name, held_out = f"scene{index}", index % 4 == 3
        scenes.append(Scene(name, "synthetic", None, None, None, "test" if held_out else "train"))
        if (run / f"tiles/{name}.zarr.zip").exists():
            continue
        if index < 2 or not fields:
            made = make_scene(name, settings)
            blurred = cv2.GaussianBlur(made.mask.astype(np.float32), (0, 0), 6)
            fields = {
                "image": made.image, "mask": made.mask, "found": np.roll(made.mask, 4, axis=1),
                "cam": (255 * cv2.GaussianBlur(blurred, (0, 0), 12)).astype(np.uint8),
                "probability": np.roll(blurred, 3, axis=0),
            }  # fmt: skip
        fake_scene(run, name, int(held_out), fields)
    return scenes


def main() -> None:
    sizes = {"scenes": (8, 2, f"scenes of {ROWS * COLS} tiles, every fourth held out")}
    files = {"folder": (None, "keep the faked run there, and take it from there")}
    arguments = set_up(__doc__, sam="light", sizes=sizes, files=files).options
    with tempfile.TemporaryDirectory(prefix="apsam-report-") as folder:
        run = (arguments.folder or Path(folder)) / "large"
        started = time.perf_counter()
        scenes = build(run, arguments.scenes)
        print(f"run built in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        page = run / "report/index.html"
        wall, processor = time.perf_counter(), time.process_time()
        make_report(run, scenes, {"run": "large"}, page)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        size = page.stat().st_size
    facts = {
        "tiles": arguments.scenes * ROWS * COLS,
        "wall_s": round(wall, 1),
        "processor_s": round(processor, 1),
        "page_mb": round(size / 1e6, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    write("report", torch.device("cpu"), report=facts)


if __name__ == "__main__":
    main()
