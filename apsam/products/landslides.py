"""Make landslide polygons from a mask and its probabilities."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from pyproj import CRS
from shapely import MultiPolygon, Polygon

from apsam.geodesy import Geodesy
from apsam.maps.cog import NO_DATA
from apsam.products import slope
from apsam.products.place import pixels_under, polygons_of
from apsam.products.settings import ProductSettings
from apsam.products.smoothing import smooth
from apsam.tiles.georeference import raster_bounds

# Pixel steps are removed if outlines are smoothed at this many pixels.
SMOOTH_PIXELS = 2


def vectorise(
    mask: Path, probability: Path, settings: ProductSettings, scene: str, model: str, dem: Path | None = None
) -> gpd.GeoDataFrame:
    """Make the landslide polygons of a mask.

    Pixels that touch by an edge or a corner are one landslide; holes are kept, except small ones. The rasters are
    not loaded as a whole. Columns: id (1 = largest area_m2), area_m2 and perimeter_m (on the ellipsoid if the CRS is
    geographic or distorts areas), mean_probability and max_probability of its pixels, n_holes, those of
    `apsam.products.slope` if elevations are given, scene, model.

    Args:
        mask: Mask map {0, 1, 255}.
        probability: Probability map on the same grid.
        settings: Smallest area, filled holes, smoothing.
        scene: Value of the column `scene`.
        model: Value of the column `model`.
        dem: Raster of elevations, or None.

    Returns:
        Largest first; without landslides an empty frame with all columns.

    Raises:
        InputError: The elevations cannot be used.
    """
    with rasterio.open(mask) as raster:
        crs = CRS.from_user_input(raster.crs.to_wkt())
        geodesy = Geodesy(crs, raster_bounds(raster))
        pixel = abs(raster.transform.determinant) ** 0.5
        found = polygons_of(raster)
    landslides = _fill_holes(found, settings.fill_holes_m2, geodesy)
    landslides = [one for one in landslides if geodesy.area(one) >= settings.min_area_m2]
    landslides.sort(key=lambda one: (-geodesy.area(one), one.bounds))
    with rasterio.open(probability) as raster:
        statistics = [_probabilities(one, raster) for one in landslides]
    length = SMOOTH_PIXELS * pixel if settings.smooth_m == "auto" else settings.smooth_m / geodesy.metres_per_unit
    smoothed = smooth(landslides, length)
    # Smoothing changes areas by up to 2 %, so that another landslide may become the larger one.
    areas = [round(geodesy.area(one), 2) for one in smoothed]
    order = sorted(range(len(smoothed)), key=lambda index: (-areas[index], smoothed[index].bounds))
    drawn, statistics = [smoothed[index] for index in order], [statistics[index] for index in order]
    columns = {
        "id": np.arange(1, len(drawn) + 1, dtype=np.int64),
        "area_m2": np.array([areas[index] for index in order], np.float64),
        "perimeter_m": np.array([round(geodesy.perimeter(one), 2) for one in drawn], np.float64),
        "mean_probability": np.array([mean for mean, _ in statistics], np.float64),
        "max_probability": np.array([highest for _, highest in statistics], np.float64),
        "n_holes": np.array([sum(len(part.interiors) for part in one.geoms) for one in drawn], np.int64),
    }
    with ExitStack() as stack:
        if dem is not None:
            slopes = stack.enter_context(slope.Slopes(dem, crs, geodesy))
            measured = [slopes.measure(one) for one in drawn]
            columns |= {name: np.array([m[name] for m in measured], np.float64) for name in slope.COLUMNS}
    columns |= {name: np.array([value] * len(drawn), object) for name, value in (("scene", scene), ("model", model))}
    return gpd.GeoDataFrame(columns, geometry=drawn, crs=crs)


def _fill_holes(landslides: list[MultiPolygon], largest_m2: float, geodesy: Geodesy) -> list[MultiPolygon]:
    """Fill small holes; landslides in such a hole are covered by the filling and removed."""
    if largest_m2 <= 0 or not landslides:
        return landslides
    filled, touched = [], []
    for index, landslide in enumerate(landslides):
        kept = [
            [hole for hole in part.interiors if geodesy.area(Polygon(hole)) > largest_m2] for part in landslide.geoms
        ]
        if all(len(holes) == len(part.interiors) for holes, part in zip(kept, landslide.geoms, strict=True)):
            filled.append(landslide)
            continue
        parts = [Polygon(part.exterior, holes) for part, holes in zip(landslide.geoms, kept, strict=True)]
        whole = shapely.union_all(parts)
        filled.append(MultiPolygon([part for part in shapely.get_parts(whole) if isinstance(part, Polygon)]))
        touched.append(index)
    tree = shapely.STRtree(filled)
    covered = set()
    for index in touched:
        covered |= set(tree.query(filled[index], predicate="covers").tolist()) - {index}
    return [landslide for index, landslide in enumerate(filled) if index not in covered]


def _probabilities(landslide: MultiPolygon, raster: rasterio.DatasetReader) -> tuple[float, float]:
    """Return mean and highest probability of the pixels whose centre is in a landslide."""
    count, total, highest = 0, 0, 0
    for window, inside in pixels_under(landslide, raster):
        values = raster.read(1, window=window)
        chosen = values[inside & (values != NO_DATA)]
        count += chosen.size
        total += int(chosen.sum(dtype=np.int64))
        highest = max(highest, int(chosen.max(initial=0)))
    scale = raster.scales[0]
    return round(total / max(count, 1) * scale, 4), round(highest * scale, 4)
