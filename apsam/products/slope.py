"""Slope attributes of landslides: length, width, steepness and drop, from a raster of elevations.

The slope's direction is that of the mean gradient over the landslide: steep ground has more weight, and opposite sides
of a hollow cancel. Length is the extent of the outline along that direction on the map
(horizontal, not along the ground), width the extent across it.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType

import numpy as np
import rasterio
import shapely
from pyproj import CRS, Transformer
from rasterio.crs import CRS as RasterCRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.features import geometry_mask
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window, from_bounds
from rasterio.windows import transform as window_transform
from shapely.geometry.base import BaseGeometry

from apsam.datums import datum_shift
from apsam.errors import InputError, first_cause
from apsam.geodesy import Geodesy
from apsam.products.elevations import Metres, no_elevation, open_elevations

COLUMNS = ("length_m", "width_m", "slope_deg", "downslope_deg", "drop_m")

# With a smaller mean gradient, rise over run, the direction is undefined.
FLAT = 1e-3

# Degrees around a scene's middle in which a transformation between datums is looked up.
NEAR = 0.05

# No ground is as low, and 16-bit elevations can represent it.
BELOW_ALL = -32768.0

# Elevations around a landslide that are needed for its gradients.
MARGIN = 2


class Slopes:
    """Measures landslides against a raster of elevations.

    Args:
        dem: Raster of elevations in any CRS; scale, offset and unit are applied.
        crs: Of the landslides.
        geodesy: Of the scene: if its CRS is not in metres or distorts areas, a local one around the scene's middle is
            used, whose north is true north.

    Raises:
        InputError: The raster cannot be used.
    """

    def __init__(self, dem: Path, crs: CRS, geodesy: Geodesy) -> None:
        self._path = dem
        metric = geodesy.planar and math.isclose(geodesy.metres_per_unit, 1, rel_tol=0.01)
        longitude, latitude = geodesy.middle
        local = crs if metric else CRS.from_proj4(f"+proj=aeqd +lat_0={latitude} +lon_0={longitude} +units=m")
        self._to_local = None if metric else Transformer.from_crs(crs, local, always_xy=True)
        self._raster, self._metres = open_elevations(dem)
        around = (longitude - NEAR, latitude - NEAR, longitude + NEAR, latitude + NEAR)
        shift = datum_shift(CRS.from_user_input(self._raster.crs.to_wkt()), crs, around)
        try:
            self._local = WarpedVRT(
                self._raster,
                crs=local.to_wkt(),
                resampling=Resampling.bilinear,
                **({"src_crs": RasterCRS.from_wkt(shift.wkt)} if shift.crs.is_bound else {}),
                **_uncovered(self._raster, self._metres),
            )
        except RasterioError as error:
            raise InputError(f"{dem}: no raster of elevations that GDAL reads ({error}): 'products.dem'") from error

    def __enter__(self) -> Slopes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._local.close()
        self._raster.close()

    def measure(self, landslide: BaseGeometry) -> dict[str, float | None]:
        """Return `COLUMNS` of one landslide; None if the elevations do not cover half of it, or the ground is flat.

        length_m, width_m: see the module. slope_deg: mean steepness. downslope_deg: direction, clockwise from north:
        that of the map (grid north), or true north if lengths are measured in a local CRS (see the class). drop_m:
        highest minus lowest elevation.
        """
        if self._to_local is not None:
            # The stubs know only interleaved coordinates.
            landslide = shapely.transform(landslide, self._to_local.transform, interleaved=False)  # type: ignore[arg-type]  # see above
        values: dict[str, float | None] = dict.fromkeys(COLUMNS)
        found = self._elevations(landslide)
        if found is None:
            return values
        height, east, north = found
        values["drop_m"] = round(float(height.max() - height.min()), 1)
        values["slope_deg"] = round(float(np.degrees(np.arctan(np.hypot(east, north))).mean()), 1)
        down = -np.array([east.mean(), north.mean()])
        steepness = float(np.hypot(*down))
        if steepness >= FLAT:
            along = shapely.get_coordinates(landslide) @ np.stack([down, [-down[1], down[0]]], axis=1) / steepness
            values["length_m"], values["width_m"] = (round(float(v), 1) for v in np.ptp(along, axis=0))
            values["downslope_deg"] = round(math.degrees(math.atan2(down[0], down[1])) % 360, 1)
        return values

    def _elevations(self, landslide: BaseGeometry) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return elevations of a landslide's pixels, and their gradients to the east and to the north."""
        raster = self._local
        place = from_bounds(*landslide.bounds, transform=raster.transform)
        left, top = math.floor(place.col_off) - MARGIN, math.floor(place.row_off) - MARGIN
        right, bottom = (
            math.ceil(place.col_off + place.width) + MARGIN,
            math.ceil(place.row_off + place.height) + MARGIN,
        )
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, raster.width), min(bottom, raster.height)
        if right - left < 2 or bottom - top < 2:
            return None
        window = Window(left, top, right - left, bottom - top)
        try:
            read = raster.read(1, window=window, masked=True)
        except RasterioError as error:
            raise InputError(
                f"{self._path}: elevations cannot be read ({first_cause(error)}); is the file complete?"
            ) from error
        height = self._metres(np.ma.filled(read.astype(np.float64), np.nan))
        transform = window_transform(window, raster.transform)
        north, east = np.gradient(height, transform.e, transform.a)
        inside = geometry_mask([landslide], height.shape, transform, invert=True)
        if not inside.any():
            # Smaller than the elevations' pixels: use all pixels that it touches.
            inside = geometry_mask([landslide], height.shape, transform, invert=True, all_touched=True)
        known = inside & np.isfinite(height) & np.isfinite(east) & np.isfinite(north)
        # Pixels beyond the raster are not counted as inside, so that areas give the known share of the landslide.
        if not known.any() or np.count_nonzero(known) * abs(transform.a * transform.e) < landslide.area / 2:
            return None
        return height[known], east[known], north[known]


def _uncovered(raster: rasterio.DatasetReader, metres: Metres) -> dict[str, float]:
    """Choose the no-data value of a warped raster beyond the elevations; by default it would be height 0."""
    if MaskFlags.all_valid not in raster.mask_flag_enums[0]:
        return {}
    # Resampled with its neighbours, an undeclared no-data value would become a plausible height.
    undeclared = no_elevation(raster, metres)
    if undeclared is not None:
        return {"src_nodata": undeclared, "nodata": undeclared}
    dtype = np.dtype(raster.dtypes[0])
    return {"nodata": float(np.iinfo(dtype).max) if dtype.kind == "u" else BELOW_ALL}
