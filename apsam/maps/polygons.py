"""Landslides as polygons in a GeoPackage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from pyproj import CRS as ProjCRS
from pyproj import Geod, Proj, Transformer
from rasterio.features import geometry_mask, shapes
from rasterio.windows import Window, from_bounds
from rasterio.windows import transform as window_transform
from shapely import MultiPolygon, Polygon
from shapely.geometry import shape

from apsam.files import atomic_path
from apsam.maps.cog import NO_DATA
from apsam.maps.settings import MapSettings

LAYER = "landslides"
DATE = "1980-01-01T00:00:00Z"

# A projected CRS measures areas itself unless it distorts them by more than this (UTM: 0.002; Web Mercator: much more).
AREA_DISTORTION = 0.005

# Simplified outlines may change a landslide's area by this share at most.
AREA_CHANGE = 0.02

# Probabilities under a polygon are read in bands of this many pixels, whatever its size.
PIXELS_AT_ONCE = 16_000_000


def write_polygons(
    mask: Path, probability: Path, output: Path, settings: MapSettings, scene: str, model: str
) -> gpd.GeoDataFrame:
    """Vectorise a mask.

    Pixels that touch by an edge or a corner are one landslide; holes are kept. Columns: id (1 = largest), area_m2 and
    perimeter_m (on the ellipsoid where the CRS is geographic or distorts areas), mean_probability and max_probability
    of its pixels, n_holes, scene, model.

    Args:
        mask: Mask map {0, 1, 255}.
        probability: Probability map on the same grid.
        output: GeoPackage to write, layer "landslides"; with no landslide the layer is empty but whole.
        settings: Smallest area, filled holes, simplification.
        scene: Value of the column `scene`.
        model: Value of the column `model`.

    Returns:
        What was written, largest first.
    """
    with rasterio.open(mask) as raster:
        crs = ProjCRS.from_user_input(raster.crs.to_wkt())
        ruler = Ruler(crs, raster.bounds)
        band = rasterio.band(raster, 1)
        found = [_valid(shape(outline)) for outline, value in shapes(band, connectivity=8) if value == 1]
    polygons = [_fill_holes(polygon, settings.fill_holes_m2, ruler) for polygon in found]
    polygons = [p for p in polygons if ruler.area(p) >= settings.min_area_m2]
    polygons.sort(key=lambda p: (-ruler.area(p), p.bounds))
    with rasterio.open(probability) as raster:
        statistics = [_probabilities(polygon, raster) for polygon in polygons]
    drawn = _simplify(polygons, settings.simplify_m / ruler.metres_per_unit, ruler)
    frame = gpd.GeoDataFrame(
        {
            "id": np.arange(1, len(drawn) + 1, dtype=np.int64),
            "area_m2": np.array([round(ruler.area(p), 2) for p in drawn], np.float64),
            "perimeter_m": np.array([round(ruler.perimeter(p), 2) for p in drawn], np.float64),
            "mean_probability": np.array([mean for mean, _ in statistics], np.float64),
            "max_probability": np.array([highest for _, highest in statistics], np.float64),
            "n_holes": np.array([sum(len(part.interiors) for part in p.geoms) for p in drawn], np.int64),
            "scene": np.array([scene] * len(drawn), object),
            "model": np.array([model] * len(drawn), object),
        },
        geometry=drawn,
        crs=crs,
    )
    with atomic_path(output) as partial, _fixed_date():
        frame.to_file(
            partial, layer=LAYER, driver="GPKG", engine="pyogrio", geometry_type="MultiPolygon", promote_to_multi=True
        )
    return frame


@contextmanager
def _fixed_date() -> Iterator[None]:
    """Write a fixed date of change into GeoPackages: the same landslides give the same bytes."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": DATE})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


class Ruler:
    """Areas in m2 and lengths in m, in any CRS.

    Args:
        crs: Coordinate reference system of the geometries.
        bounds: Left, bottom, right, top of the scene: where it lies decides how much the CRS distorts.
    """

    def __init__(self, crs: ProjCRS, bounds: tuple[float, float, float, float]) -> None:
        self._geod = crs.get_geod() or Geod(ellps="WGS84")
        self._to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
        middle = ((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
        longitude, latitude = self._to_degrees.transform(*middle)
        if crs.is_projected:
            self._unit = crs.axis_info[0].unit_conversion_factor
            scale = Proj(crs).get_factors(longitude, latitude).areal_scale
            self._planar = abs(scale - 1) <= AREA_DISTORTION
            self.metres_per_unit = self._unit / scale**0.5
        else:
            self._planar = False
            # Along a meridian, which is close enough for a tolerance.
            self.metres_per_unit = self._geod.line_length([longitude] * 2, [latitude - 0.5, latitude + 0.5])

    def area(self, geometry: shapely.Geometry) -> float:
        """Area in m2."""
        if self._planar:
            return geometry.area * self._unit**2
        return abs(self._geod.geometry_area_perimeter(self._degrees(geometry))[0])

    def perimeter(self, geometry: shapely.Geometry) -> float:
        """Length of all outlines, those of holes too, in m."""
        if self._planar:
            return geometry.length * self._unit
        return self._geod.geometry_length(self._degrees(geometry).boundary)

    def _degrees(self, geometry: shapely.Geometry) -> shapely.Geometry:
        points = shapely.transform(geometry, self._to_degrees.transform, interleaved=False)
        return shapely.orient_polygons(points)


def _valid(geometry: Polygon) -> MultiPolygon:
    """Outlines that touch themselves in a corner become several parts of one landslide."""
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    return MultiPolygon(shapely.get_parts(geometry).tolist())


def _fill_holes(landslide: MultiPolygon, largest_m2: float, ruler: Ruler) -> MultiPolygon:
    if largest_m2 <= 0:
        return landslide
    parts = [
        Polygon(part.exterior, [hole for hole in part.interiors if ruler.area(Polygon(hole)) > largest_m2])
        for part in landslide.geoms
    ]
    # A part that lay in a filled hole is now covered by it.
    return MultiPolygon([p for p in shapely.get_parts(shapely.union_all(parts)) if isinstance(p, Polygon)])


def _simplify(landslides: list[MultiPolygon], tolerance: float, ruler: Ruler) -> list[MultiPolygon]:
    """Smooth outlines without letting landslides cross; those whose area would change too much stay as they are."""
    if tolerance <= 0 or not landslides:
        return landslides
    # Every part by itself: parts that meet in a corner are no valid coverage otherwise.
    parts, owner = shapely.get_parts(np.array(landslides, object), return_index=True)
    smooth = shapely.coverage_simplify(parts, tolerance)
    result = []
    for index, landslide in enumerate(landslides):
        candidate = MultiPolygon(shapely.get_parts(smooth[owner == index]).tolist())
        change = abs(ruler.area(candidate) - ruler.area(landslide)) / ruler.area(landslide)
        result.append(candidate if candidate.is_valid and change <= AREA_CHANGE else landslide)
    return result


def _probabilities(landslide: MultiPolygon, raster: rasterio.DatasetReader) -> tuple[float, float]:
    """Mean and highest probability of the pixels whose centre lies in a landslide."""
    inside = from_bounds(*landslide.bounds, transform=raster.transform)
    left, width, first, height = (round(v) for v in (inside.col_off, inside.width, inside.row_off, inside.height))
    rows = max(1, PIXELS_AT_ONCE // width)
    count, total, highest = 0, 0, 0
    for top in range(0, height, rows):
        window = Window(left, first + top, width, min(rows, height - top))
        values = raster.read(1, window=window)
        place = window_transform(window, raster.transform)
        chosen = values[geometry_mask([landslide], values.shape, place, invert=True) & (values != NO_DATA)]
        count += chosen.size
        total += int(chosen.sum(dtype=np.int64))
        highest = max(highest, int(chosen.max(initial=0)))
    scale = raster.scales[0]
    return round(total / max(count, 1) * scale, 4), round(highest * scale, 4)
