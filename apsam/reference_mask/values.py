"""Find the meaning of the values of a mask raster, from all of its pixels or a sample."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from apsam.errors import InputError, first_cause
from apsam.tiles.mask_values import MaskRule, Sample, check_mask_type, find_rule
from apsam.tiles.open_raster import open_raster
from apsam.tiles.photometry import (
    Palette,
    alpha_band,
    bands_without_alpha,
    lossy_compression,
    masked_out,
    palette_of,
    white_is_zero,
)

log = logging.getLogger(__name__)

# Maximum number of pixels that are read to find the meaning of the values; a larger mask is sampled in whole rows of
# blocks.
SAMPLE_PIXELS = 16_000_000

SAMPLE_WINDOWS = 256


def mask_rule(path: Path, values: str | None = None) -> tuple[MaskRule, Palette | None, float | None, Sample]:
    """Return the rule by which the values of a mask raster are read.

    Args:
        path: The raster.
        values: `mask_values` of the scene sheet.

    Returns:
        The rule, the mask's palette, the value of white where 0 is white (or None), and the values that were found.

    Raises:
        InputError: The values are ambiguous.
    """
    status = path.stat()
    sample, palette, inverted = _sample(path, bool(values), status.st_mtime_ns, status.st_size)
    return find_rule(path, sample, values, palette), palette, inverted, sample


@lru_cache(maxsize=32)
def _sample(path: Path, stored: bool, *_: int) -> tuple[Sample, Palette | None, float | None]:
    """Return the values of a mask raster, its palette and the value of white where 0 is white.

    Args:
        path: The raster.
        stored: Whether to return the stored values, without inverting WhiteIsZero.
        _: Time and size of the file, part of the cache's key.
    """
    with open_raster(path) as raster:
        bands, alpha = bands_without_alpha(raster), alpha_band(raster)
        if not bands:
            raise InputError(
                f"{path}: its only band is declared as transparency (alpha); if it is the mask, declare it as grey: "
                f"gdal_edit.py -colorinterp_1 gray {path}"
            )
        check_mask_type(path, raster.dtypes[bands[0] - 1])
        palette, inverted = palette_of(raster), white_is_zero(raster)
        if stored:
            inverted = None  # `mask_values` are values of the file
        sample = Sample.of(np.dtype(raster.dtypes[bands[0] - 1]), lossy_compression(raster))
        sample.scaling = _scaling(raster, path)
        no_data = None if raster.nodata == 0 else raster.nodata
        try:
            for window in _sample_windows(raster):
                read = raster.read(bands, window=window)
                missing = np.zeros(read.shape[1:], bool)
                if read.dtype.kind == "f":
                    missing |= ~np.isfinite(read).any(axis=0)
                    read = np.nan_to_num(read)
                if no_data is not None:
                    missing |= (read == no_data).all(axis=0)
                if (hidden := masked_out(raster, window)) is not None:
                    missing |= hidden
                if palette is None and inverted is not None:
                    read = invert(read, inverted)
                sample.add(read, missing, None if alpha is None else raster.read(alpha, window=window) == 0)
                if sum(sample.counts.values()) >= SAMPLE_PIXELS and len(sample.counts) > 1:
                    break
        except (RasterioError, ValueError) as error:
            raise InputError(f"{path}: pixels cannot be read ({first_cause(error)}); is the file complete?") from error
    return sample, palette, inverted


def _scaling(raster: rasterio.DatasetReader, path: Path) -> tuple[float, float]:
    """Return scale and offset of a mask's first band.

    Raises:
        InputError: The scale is negative, which would turn a lower limit into an upper one.
    """
    scale, offset = raster.scales[0] or 1.0, raster.offsets[0] or 0.0
    if scale < 0:
        raise InputError(f"{path}: a mask with a negative scale ({scale:g}); write its values without scale")
    return float(scale), float(offset)


def _sample_windows(raster: rasterio.DatasetReader) -> list[Window]:
    """Yield the windows of a raster, strip by strip; in a large one evenly spaced strips come first."""
    tall = max(raster.block_shapes[0][0], -(-raster.height // SAMPLE_WINDOWS))
    tall = -(-tall // raster.block_shapes[0][0]) * raster.block_shapes[0][0]
    wide = max(1, min(raster.width, SAMPLE_PIXELS // tall))
    strips = [
        Window(left, top, min(wide, raster.width - left), min(tall, raster.height - top))
        for top in range(0, raster.height, tall)
        for left in range(0, raster.width, wide)
    ]
    step = max(1, raster.height * raster.width // SAMPLE_PIXELS + 1)
    if step == 1:
        return strips
    first = strips[::step]
    return first + [strip for index, strip in enumerate(strips) if index % step]


def invert(values: np.ndarray, white: float) -> np.ndarray:
    """Invert the values of a mask in which 0 is white."""
    return (white - values).astype(values.dtype)


def no_data_of(raster: rasterio.DatasetReader, path: Path) -> float | None:
    """Return the no-data value that a mask declares; None if it declares none, or 0."""
    if raster.nodata == 0:
        log.warning(
            "%s: its declared no-data value is 0, which is treated as 'no landslide', not as 'unknown'; "
            "where nothing was mapped, write another value, for example 255, and declare that",
            path,
        )
        return None
    declared: float | None = raster.nodata
    return declared
