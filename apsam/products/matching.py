"""Match landslides of a map with those of the reference mask (`apsam.metrics.objects`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from pyproj import CRS
from rasterio.features import geometry_mask, shapes
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from apsam.errors import InputError
from apsam.files import scratch_folder
from apsam.geodesy import Geodesy
from apsam.metrics.objects import MATCH
from apsam.products.place import north_up, pixel_bounds
from apsam.reference_mask import NO_DATA, ReferenceMaskReader
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

# Pixels under an outline that are read at once, and rows of a mask that are written at once.
PIXELS_AT_ONCE, ROWS_AT_ONCE = 16_000_000, 256

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
        geodesy = Geodesy(crs, north_up(map_raster.bounds))
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


def _outlines(reference_mask: ReferenceMaskReader, grid: rasterio.DatasetReader, scratch: Path) -> list[BaseGeometry]:
    """Return the landslides of a reference mask on the grid of a map; pixels that touch by a corner are one."""
    profile = {"driver": "GTiff", "height": grid.height, "width": grid.width, "count": 1, "dtype": "uint8"}
    with rasterio.open(scratch, "w", crs=grid.crs, transform=grid.transform, compress="deflate", **profile) as raster:
        for top in range(0, grid.height, ROWS_AT_ONCE):
            rows = min(ROWS_AT_ONCE, grid.height - top)
            values = (reference_mask.read(top, 0, rows, grid.width) == 1).astype(np.uint8)
            raster.write(values, 1, window=Window(0, top, grid.width, rows))
    with rasterio.open(scratch) as raster:
        band = rasterio.band(raster, 1)
        found = [shape(outline) for outline, value in shapes(band, mask=band, connectivity=8) if value == 1]
    return [shapely.MultiPolygon(shapely.get_parts(_valid(one)).tolist()) for one in found]


def _valid(geometry: BaseGeometry) -> BaseGeometry:
    if geometry.is_valid:
        return geometry
    return shapely.make_valid(geometry, method="structure", keep_collapsed=False)


def _share(
    outline: BaseGeometry, grid: rasterio.DatasetReader, read: Callable[[int, int, int, int], np.ndarray]
) -> float:
    """Return the share of 1 among the known pixels of a mask under an outline, by centres; NaN if none is known."""
    left, first, right, last = pixel_bounds(outline, grid)
    rows = max(1, PIXELS_AT_ONCE // max(1, right - left))
    known, landslide = 0, 0
    for top in range(first, last, rows):
        window = Window(left, top, right - left, min(rows, last - top))
        values = read(top, left, int(window.height), int(window.width))
        inside = geometry_mask([outline], values.shape, window_transform(window, grid.transform), invert=True)
        known += int((inside & (values != NO_DATA)).sum())
        landslide += int((inside & (values == 1)).sum())
    return landslide / known if known else np.nan
