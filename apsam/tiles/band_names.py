"""What the bands of a raster are by what is said of them: declared colours, names, wavelengths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from xml.sax.saxutils import unescape

import rasterio
from rasterio.enums import ColorInterp

Bands = tuple[int, int, int]

COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

# What bands that are red, green and blue are called: B04, B03, B02 by Sentinel-2 and the harmonized Landsat.
NAMES = (("red", "green", "blue"), ("r", "g", "b"), ("b04", "b03", "b02"))
# The same without zeros, where a band that only Sentinel-2 has shows that they are of it.
SENTINEL_2, OF_SENTINEL_2 = "b8a", ("b4", "b3", "b2")

# Lowest, best and highest wavelength of red, green and blue, micrometres.
WAVELENGTHS = ((0.60, 0.66, 0.70), (0.51, 0.56, 0.60), (0.42, 0.48, 0.51))

# Names of bands of other light; and those that end in the number that a band had, as `SR_B4` does.
OTHER_LIGHT = re.compile(r"nir|swir|mir|infra|red.?edge|coastal|ultra|cirrus|thermal|panchromatic")
NUMBERED = re.compile(r"(?:band|layer|channel|.*\bb|.*_b)?[\s_#]*0*(\d{1,2})")

# The band in the name of a file that holds one band, as `T48RUV_20200101T034131_B02_10m` and `LC08_127041_SR_B4`.
SOURCE_FILE = re.compile(r"<SourceFilename[^>]*>([^<]+)<")
BAND_OF_FILE = re.compile(r"(?:.*[_.-])?(b\d{1,2}a?)(?:_\d+m)?")

# Numbers of red, green and blue in order: Landsat 4 to 7, Landsat 8 and Sentinel-2, WorldView, PlanetScope, MODIS.
TRUE_COLOURS = ((3, 2, 1), (4, 3, 2), (5, 3, 2), (6, 4, 2), (1, 4, 3))


@dataclass(frozen=True)
class Band:
    """What is said of a band.

    Attributes:
        kind: Its colour as declared.
        name: Its name, in small letters; empty without one.
        wavelength: Micrometres; None where it is not known.
    """

    kind: ColorInterp
    name: str
    wavelength: float | None

    def __str__(self) -> str:
        wavelength = None if self.wavelength is None else f"{self.wavelength:g} um"
        return self.name or wavelength or self.kind.name


def bands_of(raster: rasterio.DatasetReader) -> list[Band]:
    """What is said of each band of a raster."""
    names = [(text or "").strip().lower() for text in raster.descriptions]
    if not any(names):
        names = _names_of_sources(raster)
    return [
        Band(kind, name, _wavelength(raster, number))
        for number, kind, name in zip(raster.indexes, raster.colorinterp, names, strict=True)
    ]


def known_colours(bands: Sequence[Band]) -> Bands | None:
    """The bands that are red, green and blue by declaration, else by name, else by wavelength."""
    return by_declaration(bands) or by_name(bands) or by_wavelength(bands)


def by_declaration(bands: Sequence[Band]) -> Bands | None:
    """The bands that are declared as red, green and blue, each once."""
    kinds = [band.kind for band in bands]
    return _positions(kinds, COLOURS)


def by_name(bands: Sequence[Band]) -> Bands | None:
    """The bands that are red, green and blue by their names."""
    names = [band.name for band in bands]
    known = (*NAMES, OF_SENTINEL_2) if SENTINEL_2 in names else NAMES
    words = [_colour_word(name) for name in names]
    return next((found for kind in known if (found := _positions(names, kind))), None) or _positions(words, COLOURS)


def by_wavelength(bands: Sequence[Band]) -> Bands | None:
    """The bands whose wavelengths are nearest to those of red, green and blue."""
    chosen = []
    for low, best, high in WAVELENGTHS:
        found = [
            (abs(band.wavelength - best), number)
            for number, band in enumerate(bands, 1)
            if band.wavelength is not None and low <= band.wavelength < high
        ]
        if not found:
            return None
        chosen.append(min(found)[1])
    red, green, blue = chosen
    return red, green, blue


def is_otherwise(bands: Sequence[Band], chosen: Bands) -> bool:
    """Whether something says that three bands are not red, green and blue in this order."""
    for colour, (low, _, high), number in zip(COLOURS, WAVELENGTHS, chosen, strict=True):
        band = bands[number - 1]
        others = [other for other in COLOURS if other != colour]
        if (
            band.kind in others
            or _colour_word(band.name) in others
            or OTHER_LIGHT.search(band.name)
            or (band.wavelength is not None and not low <= band.wavelength < high)
        ):
            return True
    # Bands 4, 3, 2 of a sensor are mostly a picture in true colours; 2, 3, 4 begin with blue, 8, 4, 3 with infrared.
    numbers = tuple(int(found[1]) for number in chosen if (found := NUMBERED.fullmatch(bands[number - 1].name)))
    return len(numbers) == 3 and numbers != chosen and numbers not in TRUE_COLOURS


def _names_of_sources(raster: rasterio.DatasetReader) -> list[str]:
    """What the files are called from which a virtual raster stacks its bands; empty names for any other raster."""
    sources = [raster.tags(band, ns="vrt_sources").get("source_0", "") for band in raster.indexes]
    files = [found[1] if (found := SOURCE_FILE.search(source)) else "" for source in sources]
    stems = [PurePath(unescape(file)).stem.lower() for file in files]
    if len(set(stems)) < len(stems):  # a mosaic, whose bands come from the same files
        return [""] * len(stems)
    return [found[1] if (found := BAND_OF_FILE.fullmatch(stem)) else stem for stem in stems]


def _colour_word(name: str) -> ColorInterp | None:
    """The colour that is named in a band's name, as in `b4 (red)`; None without one, or with several."""
    if OTHER_LIGHT.search(name):
        return None
    words = set(re.findall(r"[a-z]+", name))
    named = [colour for colour in COLOURS if colour.name in words]
    return named[0] if len(named) == 1 else None


def _positions(values: Sequence[object], wanted: Sequence[object]) -> Bands | None:
    """Where three values are, from 1, if each is there once."""
    if any(values.count(value) != 1 for value in wanted):
        return None
    first, second, third = (values.index(value) + 1 for value in wanted)
    return first, second, third


def _wavelength(raster: rasterio.DatasetReader, band: int) -> float | None:
    try:
        return float(raster.tags(band, ns="IMAGERY")["CENTRAL_WAVELENGTH_UM"])
    except (KeyError, ValueError):
        return None
