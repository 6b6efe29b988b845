"""Match landslides of a map with those of the reference mask (`apsam.metrics.objects`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from pyproj import CRS
from rasterio.windows import Window
from shapely import MultiPolygon
from shapely.geometry.base import BaseGeometry

from apsam.errors import InputError
from apsam.files import scratch_folder
from apsam.geodesy import Geodesy
from apsam.metrics.objects import MATCH
from apsam.products.place import pixels_under, polygons_of
from apsam.reference_mask import NO_DATA, ReferenceMaskReader
from apsam.tiles.georeference import raster_bounds
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

# Rows of a mask that are written at once.
ROWS_AT_ONCE = 256

# Columns of the layer `reference`.
COLUMNS = ("id", "area_m2", "covered_share", "match", "scene")


def match_reference(
    landslides: gpd.GeoDataFrame,
    mask: Path,
    reference: Path,
    image: Path,
    tiles: TileSettings,
    scene: str,
    output: Path,
    min_area_m2: float = 0,
    mask_values: str | None = None,
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Compare the landslides of a map with those of a reference mask, outline by outline.

    Args:
        landslides: Of the map.
        mask: The map, {0, 1, 255}.
        reference: Reference mask of the scene, raster or polygons.
        image: The scene.
        tiles: Settings of reading the scene.
        scene: Its name.
        output: A file; a temporary folder is made next to it.
        min_area_m2: Smaller landslides of the reference are left out.
        mask_values: Meaning of the reference's values (`apsam.tiles.mask_values`).

    Returns:
        `landslides` with two more columns: `reference_share`, the share of it that is landslide in the reference, and
        `match`: `true` from a half on, else `false`; both empty where the reference is unknown. And the landslides
        of the reference, largest first: id, area_m2, covered_share, match (`found` from a half on, `partly`, `missed`),
        scene.

    Raises:
        InputError: The reference cannot be read, or the map is of another scene.
    """
    with (
        rasterio.open(mask) as map_raster,
        SceneReader(image, tiles) as reader,
        ReferenceMaskReader(reference, reader, mask_values) as reference_mask,
    ):
        if map_raster.shape != (reader.height, reader.width):
            raise InputError(f"{mask}: is not a map of a scene of {reader.width} x {reader.height} px; predict again")
        shares = np.array([_share(one, map_raster, reference_mask.read) for one in landslides.geometry], np.float64)
        crs = CRS.from_user_input(map_raster.crs.to_wkt())
        geodesy = Geodesy(crs, raster_bounds(map_raster))
        with scratch_folder(output, "reference") as folder:
            outlines = _outlines(reference_mask, map_raster, folder / "reference.tif")

        def covered(row: int, col: int, height: int, width: int) -> np.ndarray:
            return map_raster.read(1, window=Window(col, row, width, height))

        areas = np.array([geodesy.area(one) for one in outlines])
        order = [index for index in np.argsort(-areas, kind="stable") if areas[index] >= min_area_m2]
        there = [outlines[index] for index in order]
        covers = np.array([_share(one, map_raster, covered) for one in there], np.float64)
    matched = landslides.assign(
        reference_share=np.round(shares, 4),
        match=np.array([None if np.isnan(one) else "true" if one >= MATCH else "false" for one in shares], object),
    )
    return matched, _reference_layer(there, areas[order], covers, scene, crs)


def _reference_layer(
    outlines: list[BaseGeometry], areas: np.ndarray, covers: np.ndarray, scene: str, crs: CRS
) -> gpd.GeoDataFrame:
    names = ["found" if one >= MATCH else "partly" if one > 0 else "missed" for one in covers]
    columns = {
        "id": np.arange(1, len(outlines) + 1, dtype=np.int64),
        "area_m2": np.round(areas, 2).astype(np.float64),
        "covered_share": np.round(covers, 4),
        "match": np.array([None if np.isnan(c) else n for c, n in zip(covers, names, strict=True)], object),
        "scene": np.array([scene] * len(outlines), object),
    }
    return gpd.GeoDataFrame(columns, columns=list(COLUMNS), geometry=outlines, crs=crs)


def _outlines(reference_mask: ReferenceMaskReader, grid: rasterio.DatasetReader, scratch: Path) -> list[MultiPolygon]:
    """Return the landslides of a reference mask on the grid of a map; pixels that touch by a corner are one."""
    profile = {"driver": "GTiff", "height": grid.height, "width": grid.width, "count": 1, "dtype": "uint8"}
    with rasterio.open(scratch, "w", crs=grid.crs, transform=grid.transform, compress="deflate", **profile) as raster:
        for top in range(0, grid.height, ROWS_AT_ONCE):
            rows = min(ROWS_AT_ONCE, grid.height - top)
            values = (reference_mask.read(top, 0, rows, grid.width) == 1).astype(np.uint8)
            raster.write(values, 1, window=Window(0, top, grid.width, rows))
    with rasterio.open(scratch) as raster:
        return polygons_of(raster)


def _share(
    outline: BaseGeometry, grid: rasterio.DatasetReader, read: Callable[[int, int, int, int], np.ndarray]
) -> float:
    """Return the share of 1 among the known pixels of a mask under an outline, by centres; NaN if none is known."""
    known, landslide = 0, 0
    for window, inside in pixels_under(outline, grid):
        values = read(window.row_off, window.col_off, window.height, window.width)
        known += int((inside & (values != NO_DATA)).sum())
        landslide += int((inside & (values == 1)).sum())
    return landslide / known if known else np.nan
