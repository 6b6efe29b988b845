"""Measure the label page of a large scene in Chromium: time to make it, to its first tile, and per key press.

python -m benchmarks.bench_label                  some 2,000 tiles
python -m benchmarks.bench_label --side 21970     some 20,000 tiles

The scene is one synthetic scene, repeated and rotated. Keys are real key events; a key press ends with the frame after
the next picture. Memory is the proportional set size of the page's process, compared with that of an empty page.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

from apsam.labelling.page import PAGE, PageScene, make_label_page
from apsam.synthetic.scene import make_scene
from apsam.synthetic.settings import SyntheticSettings
from apsam.tiles.settings import TileSettings
from tests.chromium import Browser

KEYS = """
window.times = [];
window.work = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (entry.name === "keydown") window.work.push(entry.processingEnd - entry.processingStart);
})).observe({type: "event", durationThreshold: 16});
document.addEventListener("keydown", (event) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => window.times.push(performance.now() - event.timeStamp);
  channel.port2.postMessage(0);
}), true);
"""

SCROLL = "document.getElementById('list').scrollTop = {share} * document.getElementById('list').scrollHeight;"


def write_scene(path: Path, side: int) -> None:
    """Write a raster of `side` x `side` px."""
    base = make_scene("bench", SyntheticSettings(size_px=512)).image
    base = base.transpose(2, 0, 1) if base.shape[-1] == 3 else base
    rng = np.random.default_rng(0)
    profile = {"driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8", "tiled": True}
    place = {"crs": "EPSG:32647", "transform": from_origin(500000, 3400000, 0.5, 0.5), "compress": "deflate"}
    with rasterio.open(path, "w", **profile, **place) as raster:
        for top in range(0, side, 512):
            turned = [np.rot90(base, turn, (1, 2)) for turn in rng.integers(0, 4, -(-side // 512))]
            rows = np.concatenate(turned, axis=2)[:, : side - top, :side]
            raster.write(rows, window=Window(0, top, side, rows.shape[1]))


def renderer_mb(profile: Path) -> float:
    """Return the proportional set size of the browser's renderer processes, MB."""
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
            if "--type=renderer" in command and str(profile) in command:
                lines = (process / "smaps_rollup").read_text().splitlines()
                total += int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
        except (OSError, StopIteration):
            continue
    return round(total)


def main() -> None:
    """Measure, and print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=7032, help="of the scene, pixels")
    parser.add_argument("--keys", type=int, default=200, help="key presses")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_scene(folder / "scene.tif", options.side)
        start = time.perf_counter()
        (made,) = make_label_page([PageScene(folder / "scene.tif")], folder / "page", TileSettings())
        found = {"tiles": made.tiles, "seconds to make": round(time.perf_counter() - start, 1)}
        files = [file.stat().st_size for file in (folder / "page").rglob("*") if file.is_file()]
        found |= {"files": len(files), "MB on disk": round(sum(files) / 1e6, 1)}
        with Browser(folder / "profile", folder) as browser:
            found["MB of an empty page"] = renderer_mb(folder / "profile")
            browser.open(folder / "page" / PAGE)
            browser.wait("document.documentElement.dataset.shown")
            found["seconds to the first tile"] = round(browser.run("performance.now()") / 1000, 2)
            browser.run(KEYS)
            for number in range(options.keys):
                browser.press("10 "[number % 3])
                time.sleep(0.1)
            times = np.sort(browser.run("window.times"))
            for name, share in (("median", 0.5), ("95 %", 0.95)):
                found[f"ms to answer a key, {name}"] = round(float(times[int(share * (len(times) - 1))]), 1)
            found["ms of work for a key, median"] = round(float(np.median(browser.run("window.work"))), 1)
            for share in np.linspace(0, 1, 60):
                browser.run(SCROLL.format(share=share))
                time.sleep(0.1)
            for _ in range(8):
                browser.click("#overview-closer")
            browser.drag("#overview", (0.2, 0.2), (0.8, 0.8))
            time.sleep(1)
            found["MB after scrolling through all tiles"] = renderer_mb(folder / "profile")
            assert browser.problems() == [], browser.problems()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
