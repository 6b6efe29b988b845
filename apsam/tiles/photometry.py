"""Colour interpretation of a raster: colour table, 0 for white, lossy compression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

# Lossy compressions, as named by GDAL.
LOSSY = ("JPEG", "WEBP", "JXL", "LERC")

# Those that may as well be without losses, which GDAL does not tell.
PERHAPS_LOSSY = ("LERC",)

# Share of the pixels of a transparency that are clear or opaque, not between, at least; and the sample it is asked in.
CLEAR_SHARE, SAMPLE_SIDE = 0.9, 512


def is_real(dtype: str) -> bool:
    """Whether a type of raster values, named by rasterio, is one of real numbers; NumPy has no `complex_int16`."""
    return not dtype.startswith("complex") and np.dtype(dtype).kind in "uif"


@dataclass
class Palette:
    """A colour table: index -> red, green, blue, alpha."""

    colours: dict[int, tuple[int, int, int, int]]

    def apply(self, indices: np.ndarray) -> np.ndarray:
        """Look up the colours (height, width, 4) uint8 of indices (height, width); 0 for those it does not list."""
        table = np.zeros((max(int(indices.max(initial=0)), *self.colours) + 1, 4), np.uint8)
        table[list(self.colours)] = list(self.colours.values())
        return table[indices]


def palette_of(raster: rasterio.DatasetReader) -> Palette | None:
    """Return the colour table of a raster's first band, if the band has palette indices."""
    if raster.colorinterp[0] != ColorInterp.palette:
        return None
    try:
        return Palette(raster.colormap(1))
    except ValueError:
        return None


def white_is_zero(raster: rasterio.DatasetReader) -> float | None:
    """Return the value of black in a raster in which 0 is white; None for others, and if a palette defines it."""
    if raster.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE", "NO") != "YES" or palette_of(raster) is not None:
        return None
    bits = int(raster.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * np.dtype(raster.dtypes[0]).itemsize))
    return float(2**bits - 1)


def alpha_band(raster: rasterio.DatasetReader) -> int | None:
    """Return the number of the band that is transparency (alpha); None without one."""
    kinds = list(raster.colorinterp)
    return kinds.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in kinds else None


def bands_without_alpha(raster: rasterio.DatasetReader) -> list[int]:
    """Return the numbers of all bands that are not transparency (alpha)."""
    kinds = raster.colorinterp
    return [band for band, kind in zip(raster.indexes, kinds, strict=True) if kind != ColorInterp.alpha]


def unused_alpha(raster: rasterio.DatasetReader) -> int | None:
    """Return the alpha band of a raster if GDAL's masks do not use it, because there is a no-data value; else None.

    None too if its values are not those of a transparency: GDAL calls the fourth band of a file alpha by default.
    """
    band = alpha_band(raster)
    if band is None or _is_used(raster):
        return None
    return band if _is_transparency(raster, band) else None


def unused_no_data(raster: rasterio.DatasetReader, bands: Sequence[int]) -> tuple[float, ...] | None:
    """Return the no-data values of bands if GDAL's masks do not use them, because the file has a mask of its own."""
    if not has_own_mask(raster):
        return None
    values = tuple(raster.nodatavals[band - 1] for band in bands)
    return None if None in values else values


def doubtful_alpha(raster: rasterio.DatasetReader) -> int | None:
    """Return the alpha band of a raster that GDAL's masks use, though its values are those of a colour; else None."""
    band = alpha_band(raster)
    return band if band is not None and _is_used(raster) and not _is_transparency(raster, band) else None


def _is_used(raster: rasterio.DatasetReader) -> bool:
    return any(MaskFlags.alpha in flags for flags in raster.mask_flag_enums)


def _is_transparency(raster: rasterio.DatasetReader, band: int) -> bool:
    """Whether a band is mostly clear or opaque."""
    scale = max(1, max(raster.shape) // SAMPLE_SIDE)
    values = raster.read(band, out_shape=tuple(max(1, side // scale) for side in raster.shape))
    return bool(np.isin(values, (0, values.max())).mean() >= CLEAR_SHARE)


def has_own_mask(raster: rasterio.DatasetReader) -> bool:
    """Whether a file has a mask (`.msk`, or within a TIFF)."""
    flags = raster.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags and MaskFlags.nodata not in flags


def masked_out(raster: rasterio.DatasetReader, window: Window | None = None) -> np.ndarray | None:
    """Pixels that a file's own mask (`.msk`, or within a TIFF) hides, (height, width) bool; None without one."""
    if not has_own_mask(raster):
        return None
    return np.asarray(raster.dataset_mask(window=window) == 0)


def lossy_compression(raster: rasterio.DatasetReader) -> str | None:
    """Return the name of a raster's compression if it changes values, or may change them; else None."""
    tags = raster.tags(ns="IMAGE_STRUCTURE")
    compression = tags.get("COMPRESSION", "").upper().removeprefix("YCBCR ")
    said = tags.get("COMPRESSION_REVERSIBILITY", "")  # all that is said of JPEG 2000
    if said.startswith(("LOSSLESS", "LOSSY")):
        return (compression or raster.driver) if said.startswith("LOSSY") else None
    if raster.driver == "JPEG":
        return "JPEG"
    return compression if compression in LOSSY else None
