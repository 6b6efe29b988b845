"""Ready-made tiles: image files in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import rasterio
from PIL import Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile
from rasterio.errors import RasterioError

from apsam.errors import InputError, first_cause
from apsam.file_content import content_hint
from apsam.tiles.band_names import bands_of, is_otherwise, known_colours
from apsam.tiles.open_raster import check_has_bands, open_quietly
from apsam.tiles.photometry import bands_without_alpha, is_real, palette_of, unused_alpha, white_is_zero
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
        image = read_image_file(file, cv2.IMREAD_COLOR_RGB)
    _check_type(file, image.dtype)
    return np.ascontiguousarray(image)


def check_tile_header(file: Path) -> None:
    """Raise InputError if the header of an image shows that `read_tile_image` will reject it."""
    if file.suffix.lower() in TIFF_SUFFIXES:
        with open_tile(file) as raster:
            colours = colour_bands(raster)
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
        raise unreadable(file)


def hides_pixels(file: Path) -> bool:
    """Whether an image has transparent or no-data pixels; a ready-made tile is read without regard to them."""
    if file.suffix.lower() in JPEG_SUFFIXES:
        return False
    try:
        with open_tile(file) as raster:
            alpha = unused_alpha(raster)
            return bool((raster.dataset_mask() == 0).any() or (alpha is not None and (raster.read(alpha) == 0).any()))
    except RasterioError as error:
        raise unreadable(file, error) from error


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


def resize_tile(image: np.ndarray, size: int) -> np.ndarray:
    """Resize (height, width[, 3]) uint8 to (size, size[, 3]): area mean when shrinking, bilinear when growing."""
    shrink = image.shape[0] * image.shape[1] > size * size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)


def read_image_file(file: Path, colours: int) -> np.ndarray:
    """Read a PNG or JPEG at its own bit depth, which OpenCV by default converts to 8 bit."""
    values = cv2.imread(str(file), colours | cv2.IMREAD_ANYDEPTH)
    if values is None:
        raise unreadable(file)
    return values


def unreadable(file: Path, error: Exception | None = None) -> InputError:
    """Return the error that OpenCV, or GDAL if its error is given, cannot read a file."""
    by = "OpenCV can read" if error is None else f"GDAL can read ({first_cause(error)})"
    hint = content_hint(file) or "; remove it from the folder or repair it"
    return InputError(f"{file}: not an image that {by}{hint}")


@contextmanager
def open_tile(file: Path) -> Iterator[rasterio.DatasetReader]:
    """Open an image or a mask by GDAL; raise InputError if GDAL cannot read it or it contains several rasters."""
    try:
        raster = open_quietly(file)
    except RasterioError as error:
        raise unreadable(file, error) from error
    with raster:
        check_has_bands(raster, file)
        yield raster


def colour_bands(raster: rasterio.DatasetReader) -> list[int]:
    """Return all bands but alpha, those known to be red, green and blue first and in this order."""
    bands = bands_without_alpha(raster) or [1]
    first = known_colours(bands_of(raster))
    return bands if first is None else [*first, *(band for band in bands if band not in first)]


def doubtful_bands(file: Path) -> str | None:
    """What is doubtful about the bands that are read as red, green and blue, for a warning; None if nothing is."""
    if file.suffix.lower() not in TIFF_SUFFIXES:
        return None
    with open_tile(file) as raster:
        said, bands = bands_of(raster), colour_bands(raster)
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
        with open_tile(file) as raster:
            values = np.stack([raster.read(band) for band in colour_bands(raster)], axis=-1)
            palette, black = palette_of(raster), white_is_zero(raster)
    except RasterioError as error:
        raise unreadable(file, error) from error
    if palette is not None:
        return palette.apply(values[..., 0])[..., :3]
    return values if black is None or values.dtype != np.uint8 else (black - values).astype(np.uint8)


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
