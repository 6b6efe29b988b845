"""Masks of ready-made tiles: image files in a folder of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rasterio.errors import RasterioError

from apsam.errors import InputError
from apsam.scenes import image_files
from apsam.tiles.mask_values import NO_DATA, UNSCALED, MaskRule, Sample, check_mask_type, find_rule, has_losses, plane
from apsam.tiles.photometry import alpha_band, lossy_compression, masked_out, palette_of, white_is_zero
from apsam.tiles.ready_made import (
    JPEG_SUFFIXES,
    ORIENTATION,
    TIFF_SUFFIXES,
    colour_bands,
    image_size,
    open_tile,
    read_image_file,
    unreadable,
)
from apsam.tiles.whole_images import check_whole

# Masks of a folder, evenly spaced, that are sampled to interpret the values.
SAMPLE_MASKS = 400


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
    bands, missing, transparent, compression = _read_mask(file, bool(values))
    if rule is None or (compression is not None and not values):
        sample = Sample.of(bands.dtype, compression)
        sample.add(bands, missing, transparent)
        rule = find_rule(file, sample, values)
    if transparent is None:
        return rule.apply(plane(bands), missing, file)
    return np.where(transparent, 0, rule.apply(plane(bands), missing | transparent, file)).astype(np.uint8)


def _read_mask(file: Path, stored: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, str | None]:
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


class MaskFolder:
    """The masks of ready-made tiles: files with the tiles' stems, and any suffix of an image in any case.

    Args:
        folder: Their folder.
        values: Meaning of their values, if they are ambiguous (`mask_values` of the scene sheet).

    Raises:
        InputError: There is no such folder.
    """

    def __init__(self, folder: Path, values: str | None = None) -> None:
        self.folder = folder
        self.values = values
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of masks")
        files = image_files(folder)
        # Of several with the same stem the lossless one is used: a JPEG may be the image itself.
        files.sort(key=lambda file: (file.suffix.lower() in JPEG_SUFFIXES, file.suffix.lower(), file.name))
        self._files: dict[str, Path] = {}
        for file in files:
            self._files.setdefault(file.stem, file)

    @cached_property
    def rule(self) -> MaskRule | None:
        """Return the rule for all their values together; None if all are JPEGs, which are read one by one.

        Raises:
            InputError: The values are ambiguous.
        """
        return self._sampled[0]

    @property
    def share(self) -> float | None:
        """Share of landslide in the sampled masks."""
        return self._sampled[1]

    @cached_property
    def _sampled(self) -> tuple[MaskRule | None, float | None]:
        files = sorted(self._files.values())
        sample, lossy = None, None
        for file in files[:: max(1, len(files) // SAMPLE_MASKS)]:
            bands, missing, transparent, compression = _read_mask(file, bool(self.values))
            if compression is not None and not self.values:
                lossy = lossy or Sample.of(bands.dtype, compression)
                lossy.add(bands, missing, transparent)
                continue
            if sample is None:
                sample = Sample.of(bands.dtype)
            sample.dtype = np.result_type(sample.dtype, bands.dtype)
            sample.add(bands, missing, transparent)
        if sample is None:
            shades = None if lossy is None or not lossy.counts else find_rule(self.folder, lossy)
            return None, None if shades is None or lossy is None else lossy.share(shades)
        rule = find_rule(self.folder, sample, self.values)
        return rule, sample.share(rule)

    def has(self, image: str) -> bool:
        """Whether there is a mask of the tile with this file name."""
        return Path(image).stem in self._files

    def mask(self, image: str) -> Path:
        """Return the mask of the tile with this file name.

        Raises:
            InputError: There is none.
        """
        stem = Path(image).stem
        if stem not in self._files:
            raise InputError(
                f"{self.folder}: has no mask for the tile {image} (looked for {stem}.png, .tif, .jpg, in any case)"
            )
        return self._files[stem]

    def read(self, image: str, shape: tuple[int, int], label: int | None = None) -> np.ndarray:
        """Read the mask of the tile with this file name, (height, width) uint8 {0, 1, 255 unknown}.

        Args:
            image: Name of the tile.
            shape: Its height and width.
            label: Its image-level label: a tile labelled negative needs no mask; without a label
                (255) and without a mask, all pixels are unknown.

        Raises:
            InputError: There is none, it has another size, or cannot be read.
        """
        if label in (0, NO_DATA) and not self.has(image):
            return np.full(shape, label, np.uint8)
        path = self.mask(image)
        mask = read_tile_mask(path, self.rule, self.values)
        if mask.shape != shape:
            raise InputError(f"{path}: is {mask.shape[1]} x {mask.shape[0]} px, its image {shape[1]} x {shape[0]}")
        return mask

    def masks(self, images: Sequence[Path], labels: Mapping[str, int] | None = None) -> list[Path]:
        """List the masks of tiles, in their order; tiles whose label makes a mask unnecessary are left out.

        Args:
            images: The tiles.
            labels: Their labels by name, if available.

        Raises:
            InputError: One is missing, or is not of its tile's size.
        """
        needed = [
            image
            for image in images
            if self.has(image.name) or labels is None or labels.get(image.name, NO_DATA) not in (0, NO_DATA)
        ]
        found = [self.mask(image.name) for image in needed]
        for image, mask in zip(needed, found, strict=True):
            wanted, size = image_size(image), image_size(mask)
            if wanted and size and wanted != size:
                raise InputError(f"{mask}: is {size[0]} x {size[1]} px, its image {wanted[0]} x {wanted[1]}")
        return found
