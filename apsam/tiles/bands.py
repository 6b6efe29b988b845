"""Select the red, green and blue bands of a raster, and detect no-data values that the file does not declare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from apsam.errors import InputError
from apsam.tiles.band_names import COLOURS, Bands, bands_of, by_declaration, by_name, by_wavelength, is_otherwise
from apsam.tiles.photometry import Palette, is_real, palette_of

# Colour models that are not red, green and blue.
OTHER_MODELS = {
    ColorInterp.cyan: "CMYK",
    ColorInterp.hue: "HSL",
    ColorInterp.Y: "YCbCr",
}

# A value is tested for no data if at least this share of pixels has it in all three bands.
LEAST_SHARE = 1e-3

# Its minimum distance from all other values, in ranges of these; less for common no-data values.
FAR, FAR_FOR_CODES = 3.0, 0.25
CODES = (-1, -99, -999, -9999, -32767, -32768, 32767, 65535)

# With fewer different values left, their range is not meaningful.
LEAST_VALUES = 10


@dataclass(frozen=True)
class ChosenBands:
    """Bands used as red, green, blue.

    Attributes:
        bands: From 1.
        why: Reason for the choice, in a few words.
        palette: Colour table, if the raster's only band has palette indices.
        names: Names of the bands, if they do not confirm that these are red, green and blue.
    """

    bands: Bands
    why: str
    palette: Palette | None = None
    names: tuple[str, ...] = ()


def choose_bands(raster: rasterio.DatasetReader, path: Path, bands: Bands | Literal["auto"]) -> ChosenBands:
    """Return the bands of `tiles.bands`; for `auto`, those declared as red, green, blue, or the first three.

    Raises:
        InputError: The raster does not have these bands, or they are not colours.
    """
    kinds = raster.colorinterp
    palette = palette_of(raster)
    if bands == "auto":
        chosen = _declared(raster, path, palette)
    elif max(bands) > raster.count:
        raise InputError(
            f"{path}: has {raster.count} band(s), but 'tiles.bands' asks for {list(bands)}; "
            f"the method needs three, for one band repeat it: [1, 1, 1]"
        )
    elif any(kinds[band - 1] == ColorInterp.alpha for band in bands):
        alpha = next(band for band in bands if kinds[band - 1] == ColorInterp.alpha)
        raise InputError(
            f"{path}: 'tiles.bands' asks for {list(bands)}, of which band {alpha} is the transparency (alpha)"
        )
    else:
        chosen = ChosenBands(bands, "tiles.bands", palette if set(bands) == {1} else None)
    types = [raster.dtypes[band - 1] for band in chosen.bands]
    wrong = next((dtype for dtype in types if not is_real(dtype)), None)
    if wrong is not None:
        raise InputError(f"{path}: values of type {wrong} cannot be used; export real numbers")
    return chosen


def _declared(raster: rasterio.DatasetReader, path: Path, palette: Palette | None) -> ChosenBands:
    kinds = list(raster.colorinterp)
    other = next((OTHER_MODELS[kind] for kind in kinds if kind in OTHER_MODELS), None)
    if other is not None:
        raise InputError(
            f"{path}: its colours are {other}, not RGB; convert them, for example in an image editor or QGIS"
        )
    if palette is not None and sum(kind != ColorInterp.alpha for kind in kinds) == 1:
        return ChosenBands((1, 1, 1), "colours of its palette", palette)
    said = bands_of(raster)
    names = tuple(map(str, said))
    declared, named, measured = by_declaration(said), by_name(said), by_wavelength(said)
    if declared is not None:
        contrary = named not in (None, declared) or is_otherwise(said, declared)
        return ChosenBands(declared, "declared red, green, blue", names=names if contrary else ())
    if named is not None:
        called = ", ".join(names[band - 1] for band in named)
        meaning = "" if called == "red, green, blue" else ": red, green, blue"
        return ChosenBands(named, f"named {called}{meaning}")
    if measured is not None:
        return ChosenBands(measured, "by their wavelengths red, green, blue")
    usable = [band for band, kind in zip(raster.indexes, kinds, strict=True) if kind != ColorInterp.alpha]
    if len(usable) < 3:
        raise InputError(
            f"{path}: has {len(usable)} band(s) without transparency, the method needs three (red, green, blue); to "
            f"repeat one: 'tiles.bands: [1, 1, 1]'"
        )
    first = (usable[0], usable[1], usable[2])
    # Of colours that are declared one is missing, as in an image of near infrared, red and green.
    some = any(kind in COLOURS for kind in kinds) or is_otherwise(said, first)
    return ChosenBands(first, "the first three, none is declared as red, green, blue", names=names if some else ())


def band_doubts(chosen: ChosenBands, count: int) -> list[str]:
    """What speaks against the bands that are taken as red, green and blue, for warnings.

    Args:
        chosen: The bands.
        count: Number of bands of the raster.
    """
    taken, named = ", ".join(map(str, chosen.bands)), ", ".join(chosen.names)
    if named and chosen.why.startswith("declared"):
        return [
            f"declares bands {taken} as red, green, blue, which are taken, but its bands are named {named}; if the "
            f"names are right, set 'tiles.bands'"
        ]
    if named:
        return [
            f"its bands are named {named}, and bands {taken} are taken as red, green and blue; if others are, set "
            f"'tiles.bands'"
        ]
    if count > 3 and chosen.why.startswith("the first three"):
        return [
            f"has {count} bands, of which none is declared as red, green or blue; the first three are taken. Many "
            f"sensors begin with blue: then set 'tiles.bands: [3, 2, 1]'"
        ]
    return []


def undeclared_no_data(values: np.ndarray) -> list[tuple[float, float]]:
    """Find undeclared no-data values: the same in all bands of many pixels, and far from all other values.

    Args:
        values: (3, n) of pixels that are not declared as no data.

    Returns:
        Value and share of the pixels, for each such value.
    """
    found: list[tuple[float, float]] = []
    total, rest = values.shape[1], values
    for _ in range(4):
        if rest.shape[1] == 0:
            break
        for value in (rest.min(), rest.max()):
            there = (rest == value).all(axis=0)
            others = rest[:, ~there]
            if there.sum() < max(LEAST_SHARE * total, 2) or others.size == 0:
                continue
            low, high = np.percentile(others, (0.5, 99.5))
            gap = float(others.min()) - float(value) if value < low else float(value) - float(others.max())
            factor = FAR_FOR_CODES if float(value) in CODES else FAR
            if gap > factor * (float(high) - float(low)) and len(np.unique(others[:, :10000])) >= LEAST_VALUES:
                found.append((float(value), float(there.sum() / total)))
                rest = others
                break
        else:
            break
    return found
