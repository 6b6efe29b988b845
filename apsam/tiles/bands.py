"""Which bands of a raster are red, green and blue, and values in them that are no data though nobody declared them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from apsam.errors import InputError
from apsam.tiles.photometry import Palette, palette_of

Bands = tuple[int, int, int]

COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

# Colour models that are not red, green and blue.
OTHER_MODELS = {
    ColorInterp.cyan: "CMYK",
    ColorInterp.hue: "HSL",
    ColorInterp.Y: "YCbCr",
}

# What bands that are red, green and blue are called: B04, B03, B02 by Sentinel-2 and the harmonized Landsat.
NAMES = (("red", "green", "blue"), ("r", "g", "b"), ("b04", "b03", "b02"))

# Names of bands of other light. Of others that end in a number, as `SR_B4` does, the number says which band it was.
OTHER_LIGHT = re.compile(r"nir|swir|mir|infra|red.?edge|coastal|cirrus|thermal|panchromatic")
NUMBERED = re.compile(r"(?:band|layer|channel|.*\bb|.*_b)?[\s_#]*0*(\d{1,2})")

# A value that at least this share of pixels has in all three bands is looked at: is it no data?
LEAST_SHARE = 1e-3

# How far it must lie from all others, in ranges of these; less for values that programs write for no data.
FAR, FAR_FOR_CODES = 3.0, 0.25
CODES = (-1, -99, -999, -9999, -32767, -32768, 32767, 65535)

# So many different values must be left, or nothing can be said about ranges.
LEAST_VALUES = 10


@dataclass(frozen=True)
class ChosenBands:
    """Bands taken as red, green, blue.

    Attributes:
        bands: From 1.
        why: In a few words.
        palette: Colour table, where the raster's only band holds numbers of colours.
        names: Names of the bands, where they say that these are not, or not for sure, red, green and blue.
    """

    bands: Bands
    why: str
    palette: Palette | None = None
    names: tuple[str, ...] = ()


def choose_bands(raster: rasterio.DatasetReader, path: Path, bands: Bands | Literal["auto"]) -> ChosenBands:
    """The bands asked for (`tiles.bands`); `auto`: those that the raster calls red, green, blue, or its first three.

    Raises:
        InputError: The raster lacks them, or they hold no colours.
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
    types = [np.dtype(raster.dtypes[band - 1]) for band in chosen.bands]
    wrong = next((dtype for dtype in types if dtype.kind not in "uif"), None)
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
    names = [(text or "").strip().lower() for text in raster.descriptions]
    named = _named(names)
    if all(kinds.count(colour) == 1 for colour in COLOURS):
        red, green, blue = (kinds.index(colour) + 1 for colour in COLOURS)
        bands = (red, green, blue)
        others = tuple(names) if named not in (None, bands) or _named_otherwise(names, bands) else ()
        return ChosenBands(bands, "declared red, green, blue", names=others)
    if named is not None:
        called = ", ".join(names[band - 1] for band in named)
        meaning = "" if called == "red, green, blue" else ": red, green, blue"
        return ChosenBands(named, f"named {called}{meaning}")
    usable = [band for band, kind in zip(raster.indexes, kinds, strict=True) if kind != ColorInterp.alpha]
    if len(usable) < 3:
        raise InputError(
            f"{path}: has {len(usable)} band(s) without transparency, the method needs three (red, green, blue); to "
            f"repeat one: 'tiles.bands: [1, 1, 1]'"
        )
    first = (usable[0], usable[1], usable[2])
    others = tuple(names) if _named_otherwise(names, first) else ()
    return ChosenBands(first, "the first three, none is declared as red, green, blue", names=others)


def _named(names: Sequence[str]) -> Bands | None:
    """The bands that are red, green and blue by their names."""
    for known in NAMES:
        if all(names.count(name) == 1 for name in known):
            red, green, blue = (names.index(name) + 1 for name in known)
            return red, green, blue
    return None


def _named_otherwise(names: Sequence[str], bands: Bands) -> bool:
    """Whether the names of three bands say that they are not red, green and blue in this order."""
    for colour, band in zip(COLOURS, bands, strict=True):
        name = names[band - 1]
        number = NUMBERED.fullmatch(name)
        other_colour = any(other.name == name for other in COLOURS if other != colour)
        if other_colour or OTHER_LIGHT.search(name) or (number is not None and int(number[1]) != band):
            return True
    return False


def undeclared_no_data(values: np.ndarray) -> list[tuple[float, float]]:
    """Values that are no data by their look: the same in all bands of many pixels, and far from all others.

    Args:
        values: (3, n) of pixels that are not known to be no data.

    Returns:
        Value and share of the pixels, of each such value.
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
