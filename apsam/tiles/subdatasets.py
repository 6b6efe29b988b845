"""Raster files that contain several rasters, none of which is the file's own: GeoPackage, NetCDF, HDF."""

from __future__ import annotations

from pathlib import Path

import rasterio

from apsam.errors import InputError

# Rasters of a file that an error lists.
MOST_LISTED = 5


def check_has_bands(raster: rasterio.DatasetReader, path: Path) -> None:
    """Raise InputError if an open raster has no band; the error lists the rasters in the file."""
    if raster.count:
        return
    inside = list(raster.subdatasets)
    if not inside:
        raise InputError(f"{path}: a raster without bands")
    names = [name.rpartition(":")[2].strip('"') for name in inside[:MOST_LISTED]]
    more = f" and {len(inside) - MOST_LISTED} more" if len(inside) > MOST_LISTED else ""
    raise InputError(
        f"{path}: contains {len(inside)} rasters ({', '.join(names)}{more}); write the one that is meant to its own "
        f"file: gdal_translate '{inside[0]}' NEW.tif"
    )
