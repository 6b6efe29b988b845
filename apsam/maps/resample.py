"""A scene at another ground resolution, as a virtual raster: nothing is copied."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import rasterio
from rasterio.enums import MaskFlags, Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from apsam.conditions import ground_resolution_m
from apsam.errors import InputError
from apsam.tiles.reader import open_raster


def write_resampled(image: Path, resolution_m: float, output: Path) -> None:
    """Write a VRT that shows a scene with pixels of about `resolution_m`, in the scene's CRS and orientation.

    Coarser pixels are means of those they cover, finer ones are interpolated.

    Args:
        image: The scene.
        resolution_m: Mean side of a pixel on the ground, m.
        output: The VRT to make; it names the scene by its absolute path.

    Raises:
        InputError: The scene cannot be read, or its ground resolution is unknown.
    """
    with open_raster(image) as found:
        crs = found.crs
        own = ground_resolution_m(crs.to_wkt(), found.transform, *found.shape) if crs else None
    if own is None:
        raise InputError(f"{image}: its ground resolution is unknown, so it cannot be resampled; give it a CRS")
    factor = resolution_m / own
    with rasterio.open(image.resolve()) as raster:
        masked = any(MaskFlags.per_dataset in flags for flags in raster.mask_flag_enums)
        alpha = any(MaskFlags.alpha in flags for flags in raster.mask_flag_enums)
        with WarpedVRT(
            raster,
            crs=raster.crs,
            transform=raster.transform @ Affine.scale(factor),
            width=_pixels(raster.width / factor),
            height=_pixels(raster.height / factor),
            resampling=Resampling.average if factor > 1 else Resampling.bilinear,
            add_alpha=masked and not alpha,
        ) as vrt:
            copy_raster(vrt, output, driver="VRT")


def _pixels(length: float) -> int:
    """Whole pixels that cover a length; a tenth of one may be left out, as where a CRS stretches lengths a little."""
    return max(1, ceil(length - 0.1))
