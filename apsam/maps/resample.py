"""Interpolate a scene to smaller pixels as a virtual raster, without a copy."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import rasterio
from rasterio.enums import MaskFlags, Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT


def write_interpolated(image: Path, factor: float, output: Path) -> None:
    """Write a VRT that interpolates a scene to smaller pixels, in its CRS and orientation.

    Larger pixels are made by the reader (`tiles.resolution_m`), which excludes no data.

    Args:
        image: The scene, with a CRS.
        factor: Ratio of the old to the new side of a pixel.
        output: The VRT to make; it names the scene by its absolute path.
    """
    with rasterio.open(image.resolve()) as raster:
        masked = any(MaskFlags.per_dataset in flags for flags in raster.mask_flag_enums)
        alpha = any(MaskFlags.alpha in flags for flags in raster.mask_flag_enums)
        with WarpedVRT(
            raster,
            crs=raster.crs,
            transform=raster.transform @ Affine.scale(1 / factor),
            width=_pixels(raster.width * factor),
            height=_pixels(raster.height * factor),
            resampling=Resampling.bilinear,
            add_alpha=masked and not alpha,
        ) as vrt:
            copy_raster(vrt, output, driver="VRT")


def _pixels(length: float) -> int:
    """Return the whole pixels that cover a length; up to a tenth of one is left out, for distortions of a CRS."""
    return max(1, ceil(length - 0.1))
