"""Ready-made tiles: image files in a folder, and the folder of their masks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from apsam.errors import InputError
from apsam.scenes import TILE_SUFFIXES

TIFF_SUFFIXES = (".tif", ".tiff")
JPEG_SUFFIXES = (".jpg", ".jpeg")

# JPEG leaves grey specks around what was white: half of white is where a landslide begins.
JPEG_LANDSLIDE = 127

# EXIF: the tag of the orientation, and its values that swap width and height.
ORIENTATION, ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)


def read_tile_image(file: Path) -> np.ndarray:
    """An 8-bit image file of one to four bands as (height, width, 3) uint8 RGB; a fourth band is ignored.

    Raises:
        InputError: Not an image, more than four bands, or not 8 bit: stretched one by one, tiles could not be compared.
    """
    if file.suffix.lower() in TIFF_SUFFIXES:
        image = _read_tiff(file)
        if image.shape[2] > 4:
            raise InputError(
                f"{file}: has {image.shape[2]} bands, a ready-made tile has three (RGB); choose three for all tiles "
                f"alike, for example: gdal_translate -b 3 -b 2 -b 1 {file.name} NEW.tif"
            )
        # Grey, or grey and alpha.
        image = image[..., :3] if image.shape[2] > 2 else np.repeat(image[..., :1], 3, axis=2)
    else:
        image = _read(file, cv2.IMREAD_COLOR_RGB)
    if image.dtype != np.uint8:
        raise InputError(
            f"{file}: is {image.dtype}, ready-made tiles must be 8 bit; convert all of them with the same two limits, "
            f"for example: gdal_translate -ot Byte -scale LOW HIGH 0 255 {file.name} NEW{file.suffix} (or give the "
            f"scene as one raster: that is stretched as a whole)"
        )
    return np.ascontiguousarray(image)


def read_tile_mask(file: Path) -> np.ndarray:
    """The mask of a ready-made tile, (height, width) uint8 {0, 1}.

    Of any depth; a pixel is landslide where any colour channel is above 0 (in a JPEG: above 127). Alpha is ignored.

    Raises:
        InputError: Not an image, or a JPEG that is not black and white.
    """
    if file.suffix.lower() in TIFF_SUFFIXES:
        values = _read_tiff(file)
    else:
        # IMREAD_UNCHANGED would keep alpha, and ignore the orientation in the EXIF that images are turned by.
        values = np.atleast_3d(_read(file, cv2.IMREAD_ANYCOLOR))
    strongest = values[..., :3].max(axis=2)
    if file.suffix.lower() not in JPEG_SUFFIXES:
        return (strongest > 0).astype(np.uint8)
    if 0 < strongest.max() <= JPEG_LANDSLIDE:
        raise InputError(
            f"{file}: a mask in JPEG must be black and white, but its brightest pixel is {strongest.max()} of 255; "
            f"write masks as PNG, which does not blur them"
        )
    return (strongest > JPEG_LANDSLIDE).astype(np.uint8)


def resize_tile(image: np.ndarray, size: int) -> np.ndarray:
    """Squash (height, width[, 3]) uint8 to (size, size[, 3]): area mean when shrinking, bilinear when growing."""
    shrink = image.shape[0] * image.shape[1] > size * size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)


class MaskFolder:
    """The masks of ready-made tiles: files of the tiles' stems, with any suffix of an image in any case.

    Args:
        folder: Where they lie.

    Raises:
        InputError: There is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of masks")
        files = [file for file in folder.iterdir() if file.suffix.lower() in TILE_SUFFIXES]
        # Of several with the same stem the one without loss: a JPEG may be the image itself.
        files.sort(key=lambda file: (file.suffix.lower() in JPEG_SUFFIXES, file.suffix.lower(), file.name))
        self._files: dict[str, Path] = {}
        for file in files:
            self._files.setdefault(file.stem, file)

    def mask(self, image: str) -> Path:
        """The mask of the tile with this file name.

        Raises:
            InputError: There is none.
        """
        stem = Path(image).stem
        if stem not in self._files:
            raise InputError(
                f"{self.folder}: has no mask for the tile {image} (looked for {stem}.png, .tif, .jpg, in any case)"
            )
        return self._files[stem]

    def masks(self, images: Sequence[Path]) -> list[Path]:
        """The masks of tiles, in their order.

        Raises:
            InputError: One is missing, or is not of its tile's size.
        """
        found = [self.mask(image.name) for image in images]
        for image, mask in zip(images, found, strict=True):
            wanted, size = _size(image), _size(mask)
            if wanted and size and wanted != size:
                raise InputError(f"{mask}: is {size[0]} x {size[1]} px, its image {wanted[0]} x {wanted[1]}")
        return found


def check_tiles(images: Sequence[Path], masks: Path | None) -> None:
    """Meet tiles that cannot be used before work starts: names, the headers of all, the first one's pixels.

    Args:
        images: Of the scene, at least one.
        masks: Folder of their masks, or None.

    Raises:
        InputError: The first thing that is wrong.
    """
    read_tile_image(images[0])
    if masks is not None:
        read_tile_mask(MaskFolder(masks).masks(images)[0])


def _read(file: Path, colours: int) -> np.ndarray:
    """PNG or JPEG at its own depth, which OpenCV divides by 256 unless it is asked not to."""
    values = cv2.imread(str(file), colours | cv2.IMREAD_ANYDEPTH)
    if values is None:
        raise InputError(f"{file}: not an image that OpenCV can read; remove it from the folder or repair it")
    return values


def _read_tiff(file: Path) -> np.ndarray:
    """All bands of a TIFF without its alpha, (height, width, bands), a palette as its colours.

    OpenCV takes bands that are not called red, green and blue for one grey band, and knows four at most.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(file) as raster:
                kinds = raster.colorinterp
                colours = [band for band, kind in zip(raster.indexes, kinds, strict=True) if kind != ColorInterp.alpha]
                values = raster.read(colours or 1)
                palette = raster.colormap(1) if kinds[0] == ColorInterp.palette else None
    except RasterioError as error:
        raise InputError(f"{file}: not an image that GDAL can read ({error}); remove it or repair it") from error
    if palette is not None:
        table = np.zeros((max(int(values.max()), *palette) + 1, 3), np.uint8)
        table[list(palette)] = [colour[:3] for colour in palette.values()]
        return table[values[0]]
    return values.reshape(-1, *values.shape[-2:]).transpose(1, 2, 0)


def _size(file: Path) -> tuple[int, int] | None:
    """Width and height from the header, as the file is read; None where the header is not understood."""
    try:
        with Image.open(file) as image:
            turned = image.getexif().get(ORIENTATION) in ON_ITS_SIDE
            return image.size[::-1] if turned else image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
