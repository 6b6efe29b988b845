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

# A projection is taken as conformal below this angular distortion, degrees (UTM: 1e-6; plate carree at 60 N: 39).
CONFORMAL = 0.01

# Metres around a place over which the scale of a projection is measured.
MEASURED_OVER = 100.0

Geometries = TypeVar("Geometries", np.ndarray, BaseGeometry)


class Geodesy:
    """Areas in m2 and lengths in m, in any CRS.

    Args:
        crs: Coordinate reference system of the geometries.
        bounds: Left, bottom, right, top of the scene; the distortion of the CRS depends on its position.

    Attributes:
        planar: Whether areas are measured in the CRS; else on the ellipsoid.
        metres_per_unit: Length of a unit of the CRS up the map, in the middle of the scene.
        metres_east: Length of a unit across the map; differs from `metres_per_unit` in degrees and in projections that
            are not conformal.
        to_metres: (2, 2) float64, symmetric: differences of coordinates (x, y) as columns -> metres. It has no
            rotation, so that up the map stays up.
        middle: Longitude and latitude of the middle.
    """

    def __init__(self, crs: CRS, bounds: tuple[float, float, float, float]) -> None:
        self._geod = crs.get_geod() or Geod(ellps="WGS84")
        self._crs = crs
        longitude, latitude = map(float, to_degrees(crs, (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2))
        self.middle = longitude, latitude
        self.planar = self._conformal = False
        if crs.is_projected:
            self._unit = crs.axis_info[0].unit_conversion_factor
            # These need longitudes from the CRS's own meridian.
            factors = Proj(crs).get_factors(longitude - prime_meridian(crs), latitude)
            self.planar = abs(factors.areal_scale - 1) <= AREA_DISTORTION
            distortion = factors.angular_distortion
            self._conformal = distortion <= CONFORMAL or not math.isfinite(distortion)
            self.to_metres = np.eye(2) * self._unit / factors.areal_scale**0.5
            if not self._conformal:
                x, y = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
                self.to_metres = _without_rotation(metres_of_steps(crs, x, y, MEASURED_OVER / self._unit))
        else:
            half = math.degrees(crs.axis_info[0].unit_conversion_factor) / 2  # of a degree, or of a grad
            north = self._geod.line_length([longitude] * 2, [latitude - half, latitude + half])
            east = self._geod.line_length([longitude - half, longitude + half], [latitude] * 2)
            self.to_metres = np.diag([east, north])
        self.metres_east, self.metres_per_unit = map(float, np.linalg.norm(self.to_metres, axis=0))

    def area(self, geometry: BaseGeometry) -> float:
        """Return the area in m2."""
        if self.planar:
            return geometry.area * self._unit**2
        return float(abs(self._geod.geometry_area_perimeter(self._degrees(geometry))[0]))

    def perimeter(self, geometry: BaseGeometry) -> float:
        """Return the length of all outlines in m, including those of holes."""
        if self.planar and self._conformal:
            return geometry.length * self._unit
        return self._geod.geometry_length(self._degrees(geometry).boundary)

    def buffer(self, geometry: Geometries, metres: float | np.ndarray) -> Geometries:
        """Buffer a geometry, or each of several, by `metres` (one distance, or one each)."""
        wide = shapely.buffer(self.in_metres(geometry), metres, quad_segs=16)
        to_units = np.linalg.inv(self.to_metres)
        return cast(Geometries, shapely.transform(wide, lambda lengths: lengths @ to_units))

    def in_metres(self, geometry: Geometries) -> Geometries:
        """Convert a geometry, or each of several, to coordinates in metres, by the scale in the scene's middle."""
        return shapely.transform(geometry, lambda units: units @ self.to_metres)

    def _degrees(self, geometry: BaseGeometry) -> BaseGeometry:
        # The stubs know only interleaved coordinates.
        degrees = partial(to_degrees, self._crs)
        points = shapely.transform(geometry, degrees, interleaved=False)  # type: ignore[arg-type]  # see above
        return shapely.orient_polygons(points)


def metres_of_steps(crs: CRS, x: float, y: float, step: float) -> np.ndarray:
    """Return how far a unit of a CRS leads on the ground at a place: (2, 2) float64, metres per unit.

    Measured on the ellipsoid, so that degrees, feet and distorting projections are handled. Columns are the steps
    along x and y, rows their parts to the east and north; the norms of the columns are the lengths of the steps.

    Args:
        crs: Any but an engineering CRS.
        x, y: The place.
        step: Distance to both sides over which the scale is measured, in units of the CRS.
    """
    geod = crs.get_geod() or Geod(ellps="WGS84")
    longitudes, latitudes = to_degrees(crs, [x - step, x + step, x, x], [y, y, y - step, y + step])
    azimuths, _, lengths = geod.inv(longitudes[::2], latitudes[::2], longitudes[1::2], latitudes[1::2])
    directions = np.stack([np.sin(np.radians(azimuths)), np.cos(np.radians(azimuths))])
    return np.asarray(directions * lengths / (2 * step))


def _without_rotation(steps: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix that measures lengths as (2, 2) `steps` do: the stretch of a polar decomposition."""
    _, sizes, directions = np.linalg.svd(steps)
    return np.asarray(directions.T @ np.diag(sizes) @ directions)
