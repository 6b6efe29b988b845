"""Count how many wrong negative labels are found, for tile labels of which some are inverted.

    python -m benchmarks.label_errors DATA/scene_A.tif
    python -m benchmarks.label_errors results/demo/scenes/{alder_creek,birch_ridge}.tif --overlap 0

Each scene has its mask next to it, `scene_A_mask.tif`. Tiles are labelled by the mask; then a share of the labels of
all scenes together, drawn anew each time, is inverted, and `apsam.heatmaps.cross_validation` names the negative ones
that are probably wrong, also where `find_label_errors` would not check them because the tiles overlap too little.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from apsam.device import set_threads
from apsam.ground.settings import GroundSettings
from apsam.heatmaps.cross_validation import Cells, cross_validate, read_cells
from apsam.scenes import Scene
from apsam.tiles.label_errors import choose_label_errors
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

MIN_PIXELS = 328  # 0.5 % of a tile
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+", type=Path, help="rasters; all are checked together")
    parser.add_argument("--shares", nargs="+", type=float, default=[0, 0.05, 0.1], help="of labels that are inverted")
    parser.add_argument("--draws", type=int, default=4, help="times that a share is drawn")
    parser.add_argument("--overlap", type=float, default=TileSettings().overlap, help="tiles.overlap")
    parser.add_argument("--folds", type=int, default=GroundSettings().folds)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    set_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        cells = _cells(given.scenes, given.overlap, Path(folder))
        print(f"{len(cells.names)} tiles, {cells.shared():.0%} of their ground is shared")
        print("inverted  negative tiles  of them wrong  named  named and wrong   (sums over the draws)")
        for share in given.shares:
            counts = sum(count(cells, share, draw, given.folds) for draw in range(given.draws if share else 1))
            print(f"{share:8.0%}", *(f"{count:14d}" for count in counts), flush=True)


def _cells(scenes: Sequence[Path], overlap: float, folder: Path) -> Cells:
    tiles = []
    for image in scenes:
        scene = Scene(image.stem, "raster", image, None, image.with_name(f"{image.stem}_mask.tif"), "train")
        tiles.append(folder / f"{image.stem}.zarr.zip")
        tile_scene(
            scene, TileSettings(overlap=overlap), LabelSettings(min_pixels=MIN_PIXELS), SplitSettings(), tiles[-1]
        )
    return read_cells(tiles, folder, CPU)


def count(cells: Cells, share: float, draw: int, folds: int) -> np.ndarray:
    """Return the numbers of negative tiles, wrong ones, named ones, and wrong ones that are named."""
    number = len(cells.names)
    wrong = np.zeros(number, bool)
    wrong[np.random.default_rng(draw).permutation(number)[: round(share * number)]] = True
    labels = np.where(wrong, 1 - cells.labels, cells.labels)
    errors = choose_label_errors(cells.names, cross_validate(replace(cells, labels=labels), folds, CPU), labels)
    named = np.array([tile in errors.tiles.get(scene, ()) for scene, tile in cells.names], bool)
    negative = labels == 0
    return np.array([np.count_nonzero(some) for some in (negative, negative & wrong, named, named & wrong)])


if __name__ == "__main__":
    main()
