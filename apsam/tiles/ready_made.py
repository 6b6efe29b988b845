"""Ready-made tiles: the image file of a tile, and that of its mask."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import rasterio
from PIL import Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from apsam.errors import InputError, first_cause
from apsam.file_content import content_hint
from apsam.tiles.band_names import bands_of, is_otherwise, known_colours
from apsam.tiles.mask_values import UNSCALED, MaskRule, Sample, check_mask_type, find_rule, has_losses, plane
from apsam.tiles.photometry import (
    alpha_band,
    is_real,
    lossy_compression,
    masked_out,
    palette_of,
    unused_alpha,
    white_is_zero,
)
from apsam.tiles.subdatasets import check_has_bands
from apsam.tiles.whole_images import PNG, check_whole

TIFF_SUFFIXES = (".tif", ".tiff")
JPEG_SUFFIXES = (".jpg", ".jpeg")

# The byte of a PNG's header with the bits per channel.
PNG_DEPTH = 24

# EXIF: the tag of the orientation, and its values that swap width and height.
ORIENTATION, ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)


def read_tile_image(file: Path) -> np.ndarray:
    """Read an 8-bit image file of one to four bands as (height, width, 3) uint8 RGB; a fourth band is ignored.

    Raises:
        InputError: Not an image, more than four bands, or not 8 bit: separately stretched tiles are not comparable.
    """
    if file.suffix.lower() in TIFF_SUFFIXES:
        image = _read_tiff(file)
        _check_bands(file, image.shape[2])
        # Grey, or grey and alpha.
        image = image[..., :3] if image.shape[2] > 2 else np.repeat(image[..., :1], 3, axis=2)
    else:
        check_whole(file)
        image = _read(file, cv2.IMREAD_COLOR_RGB)
    _check_type(file, image.dtype)
    return np.ascontiguousarray(image)


def check_tile_header(file: Path) -> None:
    """Raise InputError if the header of an image shows that `read_tile_image` will reject it."""
    if file.suffix.lower() in TIFF_SUFFIXES:
        with _opened(file) as raster:
            colours = _colour_bands(raster)
            _check_bands(file, len(colours))
            types = [raster.dtypes[band - 1] for band in colours]
            _check_type(file, next((t for t in types if not is_real(t)), None) or np.result_type(*types))
        return
    with file.open("rb") as opened:
        start = opened.read(PNG_DEPTH + 1)
    if start.startswith(PNG) and start[PNG_DEPTH:] == b"\x10":
        _check_type(file, np.dtype(np.uint16))
    check_whole(file)
    if image_size(file) is None:
        raise _unreadable(file)


def hides_pixels(file: Path) -> bool:
    """Whether an image has transparent or no-data pixels; a ready-made tile is read without regard to them."""
    if file.suffix.lower() in JPEG_SUFFIXES:
        return False
    try:
        with _opened(file) as raster:
            alpha = unused_alpha(raster)
            return bool((raster.dataset_mask() == 0).any() or (alpha is not None and (raster.read(alpha) == 0).any()))
    except RasterioError as error:
        raise _unreadable(file, error) from error


def _check_bands(file: Path, count: int) -> None:
    if count > 4:
        raise InputError(
            f"{file}: has {count} bands, a ready-made tile has three (RGB); choose three for all tiles alike, for "
            f"example: gdal_translate -b 3 -b 2 -b 1 {file.name} NEW.tif"
        )


def _check_type(file: Path, dtype: np.dtype | str) -> None:
    if str(dtype) != "uint8":
        raise InputError(
            f"{file}: is {dtype}, ready-made tiles must be 8 bit; convert all of them with the same two limits, for "
            f"example: gdal_translate -ot Byte -scale LOW HIGH 0 255 {file.name} NEW{file.suffix} (or give the scene "
            f"as one raster: that is stretched as a whole)"
        )


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
        values = np.atleast_3d(_read(file, cv2.IMREAD_ANYCOLOR)).transpose(2, 0, 1)
        return values, np.zeros(values.shape[1:], bool), None, "JPEG"
    try:
        with _opened(file) as raster:
            bands = _colour_bands(raster)
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
        raise _unreadable(file, error) from error
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
        values = _as_colours(numbers, palette.colours).transpose(2, 0, 1)
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


def resize_tile(image: np.ndarray, size: int) -> np.ndarray:
    """Resize (height, width[, 3]) uint8 to (size, size[, 3]): area mean when shrinking, bilinear when growing."""
    shrink = image.shape[0] * image.shape[1] > size * size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)


def _read(file: Path, colours: int) -> np.ndarray:
    """Read a PNG or JPEG at its own bit depth, which OpenCV by default converts to 8 bit."""
    values = cv2.imread(str(file), colours | cv2.IMREAD_ANYDEPTH)
    if values is None:
        raise _unreadable(file)
    return values


def _unreadable(file: Path, error: Exception | None = None) -> InputError:
    by = "OpenCV can read" if error is None else f"GDAL can read ({first_cause(error)})"
    hint = content_hint(file) or "; remove it from the folder or repair it"
    return InputError(f"{file}: not an image that {by}{hint}")


@contextmanager
def _opened(file: Path) -> Iterator[rasterio.DatasetReader]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            raster = rasterio.open(file)
    except RasterioError as error:
        raise _unreadable(file, error) from error
    with raster:
        check_has_bands(raster, file)
        yield raster


def _colour_bands(raster: rasterio.DatasetReader) -> list[int]:
    """Return all bands but alpha, those known to be red, green and blue first and in this order."""
    kinds = list(raster.colorinterp)
    bands = [band for band, kind in zip(raster.indexes, kinds, strict=True) if kind != ColorInterp.alpha] or [1]
    first = known_colours(bands_of(raster))
    return bands if first is None else [*first, *(band for band in bands if band not in first)]


def doubtful_bands(file: Path) -> str | None:
    """What is doubtful about the bands that are read as red, green and blue, for a warning; None if nothing is."""
    if file.suffix.lower() not in TIFF_SUFFIXES:
        return None
    with _opened(file) as raster:
        said, bands = bands_of(raster), _colour_bands(raster)
    if len(bands) < 3 or known_colours(said) is not None:
        return None
    first = (bands[0], bands[1], bands[2])
    if len(bands) == 3 and not is_otherwise(said, first):
        return None
    return (
        f"has {len(bands)} bands ({', '.join(map(str, said))}), of which none is known to be red, green or blue; bands "
        f"{', '.join(map(str, first))} are taken. Write these colours alone, for example: gdal_translate -b 3 -b 2 -b 1"
    )


def _read_tiff(file: Path) -> np.ndarray:
    """Read all bands of a TIFF without alpha, (height, width, bands), a palette as its colours.

    OpenCV reads undeclared bands as one grey band, and supports at most four.
    """
    try:
        with _opened(file) as raster:
            values = np.stack([raster.read(band) for band in _colour_bands(raster)], axis=-1)
            palette, black = palette_of(raster), white_is_zero(raster)
    except RasterioError as error:
        raise _unreadable(file, error) from error
    if palette is not None:
        return _as_colours(values[..., 0], palette.colours)
    return values if black is None or values.dtype != np.uint8 else (black - values).astype(np.uint8)


def _as_colours(numbers: np.ndarray, palette: Mapping[int, tuple[int, int, int, int]]) -> np.ndarray:
    """Look up the colours (height, width, 3) of indices (height, width)."""
    table = np.zeros((max(int(numbers.max(initial=0)), *palette) + 1, 3), np.uint8)
    table[list(palette)] = [colour[:3] for colour in palette.values()]
    return table[numbers]


def image_size(file: Path) -> tuple[int, int] | None:
    """Read width and height from the header, of pixels as they are read; None if the header cannot be parsed."""
    try:
        with Image.open(file) as image:
            if isinstance(image, TiffImageFile):
                # GDAL does not apply the orientation of a TIFF; Pillow swaps its sides from some version on.
                return int(image.tag_v2[IMAGEWIDTH]), int(image.tag_v2[IMAGELENGTH])
            turned = image.getexif().get(ORIENTATION) in ON_ITS_SIDE
            return image.size[::-1] if turned else image.size
    except (OSError, ValueError, SyntaxError, KeyError, Image.DecompressionBombError):
        return None
