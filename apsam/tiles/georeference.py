"""Check that a raster is georeferenced: it needs a valid CRS and geotransform, or it is refused."""

from __future__ import annotations

import math
from pathlib import Path

import rasterio
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio.crs import CRS as RasterCRS

from apsam.bounds import Bounds, beyond_degrees
from apsam.datums import proj_crs, transformer
from apsam.errors import InputError
from apsam.tiles.outlines import outline
from apsam.vectors.place import degrees

# Limits for the side of a pixel, metres; beyond them, the geotransform is not in the units of its CRS.
SMALLEST_PIXEL_M, LARGEST_PIXEL_M = 1e-3, 100_000.0
LARGEST_PIXEL_DEGREES = 0.9


def check_placed(raster: rasterio.DatasetReader, path: Path, what: str = "the raster") -> None:
    """Raise InputError unless a raster has a CRS and a geotransform that are consistent.

    Args:
        raster: The open raster.
        path: Its path, for the message.
        what: Its name in the message: the raster, the mask, the elevations.
    """
    points, points_crs = raster.gcps
    finite = all(map(math.isfinite, tuple(raster.transform)))
    unplaced = not finite or raster.transform.is_identity or not raster.transform.determinant
    if unplaced and (points or raster.rpcs is not None):
        target = (points_crs.to_string() if points_crs else None) or "EPSG:32648"
        by = f"{len(points)} ground control points" if points else "rational polynomial coefficients (RPC)"
        how = "-tps " if len(points) > 10 else "-rpc " if not points else ""
        raise InputError(
            f"{path}: {what} is placed by {by} alone, not by a geotransform; rectify it first, for example: gdalwarp "
            f"{how}-t_srs {target} {path} rectified.tif"
        )
    remedy = f"assign the right one, for example: gdal_edit.py -a_srs EPSG:32648 {path}"
    if raster.crs is None:
        raise InputError(
            f"{path}: {what} has no coordinate reference system, so its landslides could not be placed on a map; "
            f"{remedy}"
        )
    crs = proj_crs(raster.crs.to_wkt())
    if crs.geodetic_crs is None or crs.is_geocentric:
        kind = "counts from the middle of the Earth" if crs.is_geocentric else "is a local one"
        raise InputError(
            f"{path}: its coordinate reference system '{crs.name}' {kind} ({crs.type_name}), which does not say where "
            f"on the map {what} lies; {remedy}"
        )
    if unplaced:
        raise InputError(
            f"{path}: {what} has a coordinate reference system ({crs.name}) but no geotransform, so its pixels have no "
            f"place: usually, a world file next to it (.tfw, .jgw, .pgw, .wld) or .aux.xml was not copied; copy "
            f"it, or give the corners: gdal_edit.py -a_ullr LEFT TOP RIGHT BOTTOM {path}"
        )
    _check_units(raster, path, crs)


def raster_bounds(raster: rasterio.DatasetReader) -> Bounds:
    """Return left, bottom, right, top of a raster, also if it is rotated or south-up."""
    return outline(raster.transform, 0, 0, raster.height, raster.width).bounds


def degrees_of(crs: RasterCRS, bounds: Bounds) -> Bounds | None:
    """Return west, south, east, north in degrees, as `apsam.vectors.place.degrees`."""
    return degrees(proj_crs(crs.to_wkt()), bounds)


def turn_to(
    transform: Affine, shape: tuple[int, int], crs: RasterCRS, target: RasterCRS, bounds: Bounds, path: Path
) -> Affine:
    """Shift the geotransform of a raster in degrees by multiples of 360, to the longitudes of a scene.

    Transformations from a projected CRS give longitudes within 180.

    Args:
        transform, shape, crs: Of the raster.
        target, bounds: CRS and bounds of the scene.
        path: The raster, for the message.

    Raises:
        InputError: A projected scene crosses the antimeridian.
    """
    if not crs.is_geographic:
        return transform
    if not target.is_geographic:
        try:
            bounds = transformer(proj_crs(target.to_wkt()), proj_crs(crs.to_wkt())).transform_bounds(*bounds)
        except ProjError:  # the scene cannot be transformed to the raster's CRS
            return transform
        if bounds[0] > bounds[2]:
            raise InputError(
                f"{path}: is in degrees, and the scene lies across the antimeridian (180 degrees), where these "
                f"break off; bring it into the scene's coordinate reference system first: gdalwarp -r near -t_srs "
                f"{target.to_string()} {path} reprojected.tif"
            )
    left, _, right, _ = outline(transform, 0, 0, *shape).bounds

    def shared(turn: int) -> float:
        return min(right + turn, bounds[2]) - max(left + turn, bounds[0])

    turn = max((0, -360, 360), key=shared)
    return Affine.translation(turn, 0) @ transform if shared(turn) > 0 >= shared(0) else transform


def _check_units(raster: rasterio.DatasetReader, path: Path, crs: CRS) -> None:
    """Detect coordinates that are impossible in the CRS: metres in one of degrees, degrees in one of metres."""
    left, bottom, right, top = raster_bounds(raster)
    text = f"({left:.8g} to {right:.8g}, {bottom:.8g} to {top:.8g})"
    if crs.is_geographic:
        if beyond_degrees(crs, (left, bottom, right, top)):
            raise InputError(
                f"{path}: its coordinate reference system {crs.name} is in degrees, its coordinates {text} are "
                f"not; assign the right one: gdal_edit.py -a_srs EPSG:32648 {path}"
            )
        side = abs(raster.transform.determinant) ** 0.5 * math.degrees(crs.axis_info[0].unit_conversion_factor)
        if side > LARGEST_PIXEL_DEGREES:
            raise InputError(
                f"{path}: a pixel would be {side:.3g} degrees wide in {crs.name}; its coordinates {text} look like "
                f"those of another coordinate reference system, for example metres: assign the right one"
            )
        return
    side = abs(raster.transform.determinant) ** 0.5 * crs.axis_info[0].unit_conversion_factor
    if not SMALLEST_PIXEL_M <= side <= LARGEST_PIXEL_M:
        raise InputError(
            f"{path}: a pixel would be {side:.2g} m wide in {crs.name}; its coordinates {text} look like those of "
            f"another coordinate reference system, for example degrees (EPSG:4326): assign the right one"
        )
    if degrees(crs, (left, bottom, right, top)) is None:
        raise InputError(
            f"{path}: its coordinates {text} have no place on the Earth in {crs.name}; assign the coordinate reference "
            f"system they are of, for example: gdal_edit.py -a_srs EPSG:32648 {path}"
        )
