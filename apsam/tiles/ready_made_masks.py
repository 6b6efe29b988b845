"""Masks of ready-made tiles: the file of one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rasterio.errors import RasterioError

from apsam.errors import InputError
from apsam.tiles.mask_values import UNSCALED, MaskRule, Sample, check_mask_type, find_rule, has_losses, plane
from apsam.tiles.photometry import alpha_band, lossy_compression, masked_out, palette_of, white_is_zero
from apsam.tiles.ready_made import (
    JPEG_SUFFIXES,
    ORIENTATION,
    TIFF_SUFFIXES,
    colour_bands,
    open_tile,
    read_image_file,
    unreadable,
)
from apsam.tiles.whole_images import check_whole


def read_tile_mask(file: Path, rule: MaskRule | None = None, values: str | None = None) -> np.ndarray:
    """Read the mask of a ready-made tile, (height, width) uint8 {0, 1, 255 unknown}.

    Args:
        file: Of any depth; a palette is read by its colours, or, if `values` is given, by its indices;
            transparent pixels are not landslide.
        rule: Rule for its values, from all masks of its folder; None: from this one alone. A JPEG, which
            changes values, is read by another rule: landslide is brighter than 127 of 255.
        values: Meaning of its values, if they are ambiguous (`mask_values`).

    Raises:
        InputError: Not an image, or its values are ambiguous.
    """
    bands, missing, transparent, compression = read_mask_bands(file, bool(values))
    if rule is None or (compression is not None and not values):
        sample = Sample.of(bands.dtype, compression)
        sample.add(bands, missing, transparent)
        rule = find_rule(file, sample, values)
    if transparent is None:
        return rule.apply(plane(bands), missing, file)
    return np.where(transparent, 0, rule.apply(plane(bands), missing | transparent, file)).astype(np.uint8)


def read_mask_bands(file: Path, stored: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, str | None]:
    """Return (bands, height, width) without alpha; no data and transparent, (height, width) or None; lossy compression.

    A palette is converted to colours and WhiteIsZero is inverted, unless the `stored` values are requested.
    """
    check_whole(file)
    if file.suffix.lower() in JPEG_SUFFIXES:
        values = np.atleast_3d(read_image_file(file, cv2.IMREAD_ANYCOLOR)).transpose(2, 0, 1)
        return values, np.zeros(values.shape[1:], bool), None, "JPEG"
    try:
        with open_tile(file) as raster:
            bands = colour_bands(raster)
            check_mask_type(file, raster.dtypes[bands[0] - 1])
            if stored and (raster.scales[0], raster.offsets[0]) != UNSCALED:
                raise InputError(
                    f"{file}: declares a scale or offset, which masks of ready-made tiles are read without; write the "
                    f"values themselves: gdal_translate -unscale -ot Float32 {file.name} NEW.tif"
                )
            values = np.stack([raster.read(band) for band in bands])
            palette, black, compression = palette_of(raster), white_is_zero(raster), lossy_compression(raster)
            no_data = None if raster.nodata == 0 else raster.nodata
            # A declared no-data value hides the alpha band from GDAL's masks.
            transparent = None if (alpha := alpha_band(raster)) is None else raster.read(alpha) == 0
            hidden = masked_out(raster)
    except RasterioError as error:
        raise unreadable(file, error) from error
    if compression is not None and not has_losses(compression, len(np.unique(values))):
        compression = None
    if stored:
        palette = black = None
    missing = np.zeros(values.shape[1:], bool)
    if values.dtype.kind == "f":
        missing = ~np.isfinite(values).any(axis=0)
        values = np.nan_to_num(values)
    if no_data is not None:
        missing |= (values == no_data).all(axis=0)
    if hidden is not None:
        missing |= hidden
    if palette is not None:
        numbers = values[0]
        values = palette.apply(numbers)[..., :3].transpose(2, 0, 1)
        clear = [number for number, colour in palette.colours.items() if not colour[3]]
        transparent = np.isin(numbers, clear) if clear else None
    elif black is not None:
        values = (black - values).astype(values.dtype)
    if file.suffix.lower() not in TIFF_SUFFIXES and (turn := _orientation(file)) != 1:
        values = _upright(values, turn)
        missing = _upright(missing, turn)
        transparent = None if transparent is None else _upright(transparent, turn)
    return values, missing, transparent, compression


def _orientation(file: Path) -> int:
    """How a PNG lies by its EXIF, 1 to 8; 1: upright."""
    if b"eXIf" not in file.read_bytes():
        return 1
    with Image.open(file) as image:
        return int(image.getexif().get(ORIENTATION, 1))


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """(..., height, width) as it is shown by its EXIF, which GDAL does not apply."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(-2, -1)
    # What is left of each, after that: flipped to the side, and upside down.
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return values[..., :: -1 if down else 1, :: -1 if across else 1]
