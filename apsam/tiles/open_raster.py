"""Open raster files.

Files that contain several rasters (GeoPackage, NetCDF, HDF, TIFFs of several pages) are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from apsam.errors import InputError, no_such
from apsam.file_content import content_hint
from apsam.tiles.whole_images import check_whole

# Rasters of a file that an error lists.
MOST_LISTED = 5


def open_quietly(path: Path | str) -> rasterio.DatasetReader:
    """Open a raster without rasterio's warning that it is not georeferenced.

    Raises:
        RasterioError: GDAL cannot read it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path)


def open_raster(path: Path) -> rasterio.DatasetReader:
    """Open a raster.

    Raises:
        InputError: The file is missing, GDAL cannot read it, or it has no bands.
    """
    if not path.exists():
        raise no_such("file", path)
    try:
        raster = open_quietly(path)
    except RasterioError as error:
        raise InputError(f"{path}: not a raster that GDAL can read ({error}){content_hint(path)}") from error
    try:
        check_has_bands(raster, path)
        if raster.driver in ("PNG", "JPEG") and path.is_file():
            check_whole(path)
    except InputError:
        raster.close()
        raise
    return raster


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
    for page in pages[1:]:
        # A page that GDAL cannot read is no image that could be meant.
        with suppress(RasterioError), open_quietly(page) as raster:
            if raster.height >= first.height and raster.width >= first.width:
                return True
    return False
