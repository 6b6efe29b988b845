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

# A projected CRS is used for areas unless it distorts them by more than this (UTM: 0.002; Web Mercator: much more).
AREA_DISTORTION = 0.005

Geometries = TypeVar("Geometries", np.ndarray, BaseGeometry)


class Geodesy:
    """Areas in m2 and lengths in m, in any CRS.

    Args:
        crs: Coordinate reference system of the geometries.
        bounds: Left, bottom, right, top of the scene; the distortion of the CRS depends on its position.

    Attributes:
        planar: Whether lengths and areas are measured in the CRS, in `metres_per_unit`; else on the ellipsoid.
        metres_per_unit: Length of a unit of the CRS in the middle of the scene; for degrees, of one to the north.
        metres_east: Length of a unit to the east; differs from `metres_per_unit` in a CRS of degrees.
        middle: Longitude and latitude of the middle.
    """

    def __init__(self, crs: CRS, bounds: tuple[float, float, float, float]) -> None:
        self._geod = crs.get_geod() or Geod(ellps="WGS84")
        self._crs = crs
        longitude, latitude = map(float, to_degrees(crs, (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2))
        self.middle = longitude, latitude
        if crs.is_projected:
            self._unit = crs.axis_info[0].unit_conversion_factor
            # These need longitudes from the CRS's own meridian.
            scale = Proj(crs).get_factors(longitude - prime_meridian(crs), latitude).areal_scale
            self.planar = abs(scale - 1) <= AREA_DISTORTION
            self.metres_per_unit = self.metres_east = self._unit / scale**0.5
        else:
            self.planar = False
            half = math.degrees(crs.axis_info[0].unit_conversion_factor) / 2  # of a degree, or of a grad
            self.metres_per_unit = self._geod.line_length([longitude] * 2, [latitude - half, latitude + half])
            self.metres_east = self._geod.line_length([longitude - half, longitude + half], [latitude] * 2)

    def area(self, geometry: BaseGeometry) -> float:
        """Return the area in m2."""
        if self.planar:
            return geometry.area * self._unit**2
        return float(abs(self._geod.geometry_area_perimeter(self._degrees(geometry))[0]))

    def perimeter(self, geometry: BaseGeometry) -> float:
        """Return the length of all outlines in m, including those of holes."""
        if self.planar:
            return geometry.length * self._unit
        return self._geod.geometry_length(self._degrees(geometry).boundary)

    def buffer(self, geometry: Geometries, metres: float | np.ndarray) -> Geometries:
        """Buffer a geometry, or each of several, by `metres` (one distance, or one each)."""
        metres_per_unit = np.array([self.metres_east, self.metres_per_unit])
        wide = shapely.buffer(self.in_metres(geometry), metres, quad_segs=16)
        return cast(Geometries, shapely.transform(wide, lambda lengths: lengths / metres_per_unit))

    def in_metres(self, geometry: Geometries) -> Geometries:
        """Convert a geometry, or each of several, to coordinates in metres, by the scale in the scene's middle."""
        metres_per_unit = np.array([self.metres_east, self.metres_per_unit])
        return shapely.transform(geometry, lambda units: units * metres_per_unit)

    def _degrees(self, geometry: BaseGeometry) -> BaseGeometry:
        # The stubs know only interleaved coordinates.
        degrees = partial(to_degrees, self._crs)
        points = shapely.transform(geometry, degrees, interleaved=False)  # type: ignore[arg-type]  # see above
        return shapely.orient_polygons(points)
