"""Areas and lengths in metres, in any coordinate reference system."""

from __future__ import annotations

import math
from functools import partial
from typing import TypeVar, cast

import numpy as np
import shapely
from pyproj import CRS, Geod, Proj
from shapely.geometry.base import BaseGeometry

from apsam.datums import prime_meridian, to_degrees

# A projected CRS measures areas itself unless it distorts them by more than this (UTM: 0.002; Web Mercator: much more).
AREA_DISTORTION = 0.005

Geometries = TypeVar("Geometries", np.ndarray, BaseGeometry)


class Geodesy:
    """Areas in m2 and lengths in m, in any CRS.

    Args:
        crs: Coordinate reference system of the geometries.
        bounds: Left, bottom, right, top of the scene: where it lies decides how much the CRS distorts.

    Attributes:
        planar: Whether the CRS measures by itself, in `metres_per_unit`; else the ellipsoid does.
        metres_per_unit: Length of a unit of the CRS in the middle of the scene; of a degree to the north, where
            it has degrees.
        metres_east: Length of a unit to the east; other than `metres_per_unit` in a CRS of degrees.
        middle: Longitude and latitude there.
    """

    def __init__(self, crs: CRS, bounds: tuple[float, float, float, float]) -> None:
        self._geod = crs.get_geod() or Geod(ellps="WGS84")
        self._crs = crs
        longitude, latitude = map(float, to_degrees(crs, (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2))
        self.middle = longitude, latitude
        if crs.is_projected:
            self._unit = crs.axis_info[0].unit_conversion_factor
            # These are asked for with longitudes from the CRS's own meridian.
            scale = Proj(crs).get_factors(longitude - prime_meridian(crs), latitude).areal_scale
            self.planar = abs(scale - 1) <= AREA_DISTORTION
            self.metres_per_unit = self.metres_east = self._unit / scale**0.5
        else:
            self.planar = False
            half = math.degrees(crs.axis_info[0].unit_conversion_factor) / 2  # of a degree, or of a grad
            self.metres_per_unit = self._geod.line_length([longitude] * 2, [latitude - half, latitude + half])
            self.metres_east = self._geod.line_length([longitude - half, longitude + half], [latitude] * 2)

    def area(self, geometry: BaseGeometry) -> float:
        """Area in m2."""
        if self.planar:
            return geometry.area * self._unit**2
        return float(abs(self._geod.geometry_area_perimeter(self._degrees(geometry))[0]))

    def perimeter(self, geometry: BaseGeometry) -> float:
        """Length of all outlines, those of holes too, in m."""
        if self.planar:
            return geometry.length * self._unit
        return self._geod.geometry_length(self._degrees(geometry).boundary)

    def buffer(self, geometry: Geometries, metres: float | np.ndarray) -> Geometries:
        """All that lies within `metres` of a geometry, or of each of several (one distance, or one each)."""
        metres_per_unit = np.array([self.metres_east, self.metres_per_unit])
        wide = shapely.buffer(self.in_metres(geometry), metres, quad_segs=16)
        return cast(Geometries, shapely.transform(wide, lambda lengths: lengths / metres_per_unit))

    def in_metres(self, geometry: Geometries) -> Geometries:
        """A geometry, or each of several, with coordinates in metres, as they are in the middle of the scene."""
        metres_per_unit = np.array([self.metres_east, self.metres_per_unit])
        return shapely.transform(geometry, lambda units: units * metres_per_unit)

    def _degrees(self, geometry: BaseGeometry) -> BaseGeometry:
        # The stubs know only interleaved coordinates.
        degrees = partial(to_degrees, self._crs)
        points = shapely.transform(geometry, degrees, interleaved=False)  # type: ignore[arg-type]  # see above
        return shapely.orient_polygons(points)
