"""The tiles of a scene as polygons, to be labelled in a GIS or in a table."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pandas as pd

from apsam.errors import InputError
from apsam.files import atomic_path
from apsam.products.geopackage import write_geopackage
from apsam.tiles.labels import tile_name
from apsam.tiles.outlines import outlines
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings
from apsam.tiles.windows import tile_windows


def write_grid(image: Path, settings: TileSettings, output: Path, overwrite: bool = False) -> int:
    """Write the tile grid of a raster scene.

    Args:
        image: The raster.
        settings: Tile size and overlap.
        output: `.gpkg` (polygons with the columns `tile` and `label`, which is empty) or `.csv` (the same columns,
            without geometry). Both are what a scene sheet's `labels` may name, once some labels are filled in.
        overwrite: Replace a grid that is there.

    Returns:
        The number of tiles.

    Raises:
        InputError: The raster cannot be used, or the output is there or of another kind.
    """
    if output.suffix.lower() not in (".gpkg", ".csv"):
        raise InputError(f"{output}: a grid is written as .gpkg or .csv")
    if output.exists() and not overwrite:
        raise InputError(
            f"{output}: is there already, and labels filled in there would be lost; name another file, or replace it "
            f"with --overwrite"
        )
    with SceneReader(image, settings) as scene:
        windows = tile_windows(scene.height, scene.width, settings.size, settings.stride)
        polygons = outlines(scene.transform, windows)
        crs = scene.crs
    names = [tile_name(row, col) for row, col, _, _ in windows.tolist()]
    grid = gpd.GeoDataFrame({"tile": names}, geometry=polygons, crs=crs)
    grid["label"] = pd.array([None] * len(grid), dtype="Int8")
    if output.suffix.lower() == ".csv":
        with atomic_path(output) as partial:
            grid.drop(columns="geometry").to_csv(partial, index=False)
    else:
        write_geopackage(output, {"tiles": grid})
    return len(grid)
