"""Raster files that contain several rasters: GeoPackage, NetCDF, HDF, and TIFFs of several pages."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from apsam.errors import InputError

# Rasters of a file that an error lists.
MOST_LISTED = 5


def check_has_bands(raster: rasterio.DatasetReader, path: Path) -> None:
    """Raise InputError if an open raster has no band, or is one of several; the error lists the rasters in the file."""
    inside = list(raster.subdatasets)
    if raster.count and not _has_more_pages(raster, inside):
        return
    if not inside:
        raise InputError(f"{path}: a raster without bands")
    names = [name.rpartition(":")[2].strip('"') for name in inside[:MOST_LISTED]]
    listed = f"{', '.join(names)}{f' and {len(inside) - MOST_LISTED} more' if len(inside) > MOST_LISTED else ''}"
    # GDAL numbers pages, and opens the first of them with the name of the file.
    listed = f"{len(inside)} pages" if raster.count else f"{len(inside)} rasters ({listed})"
    raise InputError(
        f"{path}: contains {listed}; write the one that is meant to its own file: gdal_translate '{inside[0]}' NEW.tif"
    )


def _has_more_pages(first: rasterio.DatasetReader, pages: Sequence[str]) -> bool:
    """Whether a page other than the first is as large; smaller ones are thumbnails."""
    if len(pages) < 2:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for page in pages[1:]:
            # A page that GDAL cannot read is no image that could be meant.
            with suppress(RasterioError), rasterio.open(page) as raster:
                if raster.height >= first.height and raster.width >= first.width:
                    return True
    return False
