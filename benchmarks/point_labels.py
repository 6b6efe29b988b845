"""Count wrong labels of tiles that come from points, for several settings of distances.

    python -m benchmarks.point_labels DATA --scenes A B

DATA has `scene_A.tif`, `scene_A_mask.tif`, ... Every landslide of a mask (pixels that touch by an edge or corner)
becomes one point on its surface, with its length and area as columns. The labels of tiles made from the points
are compared with those derived from the mask.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.features import shapes

from apsam.datums import proj_crs
from apsam.geodesy import Geodesy
from apsam.inputs.sizes import landslide_lengths
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.tiles.parts import NEITHER
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

CHOICES: Mapping[str, Mapping[str, Any]] = {
    "buffer_m: 0": {},
    "buffer_m: 60": {"buffer_m": 60},
    "buffer_m: 100": {"buffer_m": 100},
    "buffer_m: 150": {"buffer_m": 150},
    "buffer_m: 60, ignore_m: 150": {"buffer_m": 60, "ignore_m": 150},
    "buffer_m: 60, ignore_m: 300": {"buffer_m": 60, "ignore_m": 300},
    "size_column, length": {"size_column": "length_m"},
    "size_column, area": {"size_column": "area_m2", "size_kind": "area"},
    "size_column, length, ignore_m: 0": {"size_column": "length_m", "ignore_m": 0},
    "size_column, radius (half of the length)": {"size_column": "radius_m", "size_kind": "radius"},
}


def write_points(mask: Path, output: Path) -> int:
    """Write a point inventory of a mask; return the number of landslides."""
    with rasterio.open(mask) as raster:
        landslide = raster.read(1) == 1
        found = shapes(landslide.astype(np.uint8), landslide, connectivity=8, transform=raster.transform)
        outlines = shapely.make_valid(np.array([shapely.geometry.shape(shape) for shape, _ in found]))
        crs, bounds = proj_crs(raster.crs.to_wkt()), tuple(raster.bounds)
    lengths = landslide_lengths(outlines, Geodesy(crs, bounds))
    columns = {"length_m": lengths, "radius_m": lengths / 2, "area_m2": shapely.area(outlines)}
    gpd.GeoDataFrame(columns, geometry=shapely.point_on_surface(outlines), crs=crs).to_file(output)
    return len(outlines)


def labels_of(scene: Scene, tiles: TileSettings, labels: LabelSettings, folder: Path) -> np.ndarray:
    """Return (n,) labels of the tiles, 255 for tiles used for neither training nor evaluation."""
    stack = folder / "tiles.zarr.zip"
    tile_scene(scene, tiles, labels, SplitSettings(), stack)
    with TileStack(stack) as made:
        return np.where(made.read("part") == NEITHER, NEITHER, made.read("label"))


def main() -> None:
    """Print one table per scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", nargs="+", default=["A", "B"])
    parser.add_argument("--resolution", type=float, help="tiles.resolution_m")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    tiles = TileSettings(resolution_m=arguments.resolution)
    for name in arguments.scenes:
        image, mask = (arguments.data / f"scene_{name}{ending}.tif" for ending in ("", "_mask"))
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            count = write_points(mask, folder / "points.gpkg")
            true = labels_of(Scene(name, "raster", image, None, mask, "train"), tiles, LabelSettings(), folder)
            print(f"\n{name}: {count} landslides, {len(true)} tiles, {(true == 1).sum()} with landslide")
            print(
                "| labels | positive | of them wrong | negative | of them wrong | left out |\n|---|---|---|---|---|---|"
            )
            points = Scene(name, "raster", image, folder / "points.gpkg", None, "train")
            for choice, settings in CHOICES.items():
                made = labels_of(points, tiles, LabelSettings(**settings), folder)
                pairs = [(made == own).sum() for own in (1, 0)]
                wrong = [((made == own) & (true == 1 - own)).sum() for own in (1, 0)]
                row = [choice, pairs[0], wrong[0], pairs[1], wrong[1], (made == NEITHER).sum()]
                print("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()
