"""Interpolate a scene to smaller pixels as a virtual raster, without a copy."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import MaskFlags, Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from apsam.tiles.photometry import palette_of
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings


def write_interpolated(
    image: Path, factor: float, output: Path, tiles: TileSettings | None = None
) -> TileSettings | None:
    """Write a VRT that interpolates a scene to smaller pixels, in its CRS and orientation.

    Values that have no mean are not interpolated: pixels without data have no part in their neighbours, and indices of
    a palette become those of the nearest pixel. So do all values of a scene with several kinds of no data, or with
    bands that are not read, because GDAL can leave out one kind, and asks all bands.

    Larger pixels are made by the reader (`tiles.resolution_m`), which excludes no data.

    Args:
        image: The scene, with a CRS.
        factor: Ratio of the old to the new side of a pixel.
        output: The VRT to make; it names the scene by its absolute path.
        tiles: Settings of reading the scene; None: it has no other no data than the file declares.

    Returns:
        The settings for reading the VRT: `tiles`, with the no data that it does not declare.

    Raises:
        InputError: The scene cannot be read.
    """
    known = set() if tiles is None else _known_no_data(image, tiles)
    with rasterio.open(image.resolve()) as raster:
        masked = any(MaskFlags.per_dataset in flags for flags in raster.mask_flag_enums)
        alpha = any(MaskFlags.alpha in flags for flags in raster.mask_flag_enums)
        palette = palette_of(raster) is not None
        declared = {value for value in raster.nodatavals if value is not None}
        undeclared, no_data = known - declared, known | declared
        several = bool(undeclared) and (len(no_data) > 1 or masked or alpha)
        several |= bool(no_data) and raster.count > 3
        # A pixel has no data if all of its bands have that value, as in the reader.
        options: dict[str, Any] = {"UNIFIED_SRC_NODATA": "YES"} if no_data else {}
        if several:
            # All values stay as they are, and the reader tells what is no data.
            options = {"src_nodata": None, "nodata": None}
            tiles = (tiles or TileSettings()).model_copy(update={"nodata": tuple(sorted(no_data))})
        elif undeclared and not palette:
            [value] = undeclared
            options |= {"src_nodata": value, "nodata": value, "dtype": raster.dtypes[0]}
        with WarpedVRT(
            raster,
            crs=raster.crs,
            transform=raster.transform @ Affine.scale(1 / factor),
            width=_pixels(raster.width * factor),
            height=_pixels(raster.height * factor),
            resampling=Resampling.nearest if palette or several else Resampling.bilinear,
            add_alpha=masked and not alpha,
            **options,
        ) as vrt:
            copy_raster(vrt, output, driver="VRT")
    return tiles


def _known_no_data(image: Path, tiles: TileSettings) -> set[float]:
    """Return the no-data values of `tiles.nodata`, and those that the reader finds."""
    given = tiles.nodata if isinstance(tiles.nodata, tuple) else () if tiles.nodata is None else (tiles.nodata,)
    with SceneReader(image, tiles.model_copy(update={"resolution_m": None})) as scene:
        # Values that no pixel can have would change the type of the virtual raster.
        with np.errstate(invalid="ignore"):
            return {value for value in (*given, *scene.undeclared) if np.float64(value).astype(scene.dtype) == value}


def _pixels(length: float) -> int:
    """Return the whole pixels that cover a length; up to a tenth of one is left out, for distortions of a CRS."""
    return max(1, ceil(length - 0.1))
