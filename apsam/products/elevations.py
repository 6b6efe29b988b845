"""Read a raster of elevations in metres: apply scale, offset and unit, and exclude impossible values."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from apsam.bounds import Bounds, boxes_touch
from apsam.datums import datum_shift, proj_crs
from apsam.errors import InputError, first_cause
from apsam.tiles.georeference import check_placed, degrees_of, raster_bounds
from apsam.tiles.open_raster import open_raster
from apsam.tiles.photometry import is_real

log = logging.getLogger(__name__)

# Metres of a unit, in the spellings of GeoTIFF, GDAL and people.
FOOT, SURVEY_FOOT = 0.3048, 1200 / 3937
UNITS = {
    **dict.fromkeys(("", "m", "metre", "meter", "metres", "meters", "unknown"), 1.0),
    **dict.fromkeys(("ft", "foot", "feet", "international foot", "foot (international)"), FOOT),
    **dict.fromkeys(
        ("us-ft", "ftus", "us survey foot", "us_survey_foot", "foot_us", "survey foot", "us foot"), SURVEY_FOOT
    ),
    **dict.fromkeys(("dm", "decimetre", "decimeter"), 0.1),
    **dict.fromkeys(("cm", "centimetre", "centimeter"), 0.01),
    **dict.fromkeys(("mm", "millimetre", "millimeter"), 0.001),
    **dict.fromkeys(("km", "kilometre", "kilometer"), 1000.0),
}

# Metres: limits of ground on the Earth; values beyond are no data that the file does not declare.
LOWEST, HIGHEST = -500.0, 9000.0

# Rows and columns of a large raster that are sampled.
SAMPLE_SIDE = 512


@dataclass(frozen=True)
class Metres:
    """Conversion of stored values to metres: `stored * scale + offset`."""

    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        """Convert to metres, float64; NaN beyond the limits of ground."""
        metres = np.asarray(stored, np.float64) * self.scale + self.offset
        with np.errstate(invalid="ignore"):
            return np.where((metres < LOWEST) | (metres > HIGHEST), np.nan, metres)

    @property
    def note(self) -> str | None:
        """Describe the conversion, or None."""
        plain = self.scale == 1 and self.offset == 0
        return None if plain else f"elevations = stored x {self.scale:.6g} + {self.offset:g} m"


def open_elevations(path: Path) -> tuple[rasterio.DatasetReader, Metres]:
    """Open a raster of elevations.

    Raises:
        InputError: It is not a raster, is not georeferenced, or has no elevations.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such raster of elevations; check 'products.dem' and 'data_dir'")
    try:
        raster = open_raster(path)
    except InputError as error:
        raise InputError(f"{error}: 'products.dem' names the raster of elevations") from error
    try:
        check_placed(raster, path, "the raster of elevations")
        _check_kind(raster, path)
        return raster, _metres(raster, path)
    except BaseException:
        raster.close()
        raise


def check_elevations(path: Path, scenes: Sequence[tuple[rasterio.crs.CRS, Bounds]]) -> tuple[list[str], list[str]]:
    """Validate a raster of elevations with the same code that the products use.

    Args:
        path: The raster.
        scenes: CRS (`rasterio.crs.CRS`) and bounds of the scenes.

    Returns:
        Conversions, and possible problems, in sentences without the file's name.

    Raises:
        InputError: As in `open_elevations`, or it covers no scene.
    """
    raster, metres = open_elevations(path)
    with raster:
        notes, warnings = [metres.note] if metres.note else [], []
        own = degrees_of(raster.crs, raster_bounds(raster))
        covered, target = 0, proj_crs(raster.crs.to_wkt())
        for crs, bounds in scenes:
            place = degrees_of(crs, bounds)
            if own is None or place is None or boxes_touch(own, place):
                covered += 1
            shift = datum_shift(target, proj_crs(crs.to_wkt()), place)
            if shift.note is not None:
                warnings.append(shift.note)
        if scenes and not covered:
            raise InputError(
                f"{path}: the elevations cover none of the scenes: they lie at {_text(own)}, the first scene at "
                f"{_text(degrees_of(*scenes[0]))} (degrees west to east, south to north); is it the right raster, with "
                f"the right coordinate reference system?"
            )
        if scenes and covered < len(scenes):
            warnings.append(f"covers {covered} of {len(scenes)} scenes; landslides elsewhere have no slope")
        stored = _sampled(raster, path)
        known = np.isfinite(stored)
        if not known.any():
            raise InputError(f"{path}: contains no elevation, all of it is no data; is it the right raster?")
        bands = sum(kind != ColorInterp.alpha for kind in raster.colorinterp)
        if bands > 1:
            warnings.append(f"has {bands} bands, of which the first is read")
        if np.ptp(stored[known]) == 0:
            warnings.append(f"contains one height only ({stored[known][0]:g}); is it the right raster?")
        if raster.dtypes[0] == "uint8":
            warnings.append("is 8 bit, which can hold 256 heights only; is it a hillshade, or a picture of elevations?")
        wrong = known & ~np.isfinite(metres(stored))
        if wrong.any():
            if wrong.sum() == known.sum():
                raise InputError(
                    f"{path}: no value is an elevation on the Earth in metres (the first is {stored[wrong][0]:g}); "
                    f"check its unit, scale and offset"
                )
            warnings.append(
                f"{wrong.sum() / known.sum():.1%} of its values, such as {stored[wrong][0]:g}, are no elevation on the "
                f"Earth; taken for no data"
            )
    return notes, list(dict.fromkeys(warnings))


def no_elevation(raster: rasterio.DatasetReader, metres: Metres) -> float | None:
    """Return the most frequent stored value that is not an elevation on the Earth, mostly undeclared no data."""
    stored = _sampled(raster, Path(raster.name))
    wrong = stored[np.isfinite(stored) & ~np.isfinite(metres(stored))]
    if not wrong.size:
        return None
    values, counts = np.unique(wrong, return_counts=True)
    return float(values[counts.argmax()])


def _sampled(raster: rasterio.DatasetReader, path: Path) -> np.ndarray:
    """Sample stored values of the whole raster, NaN for declared no data."""
    side = max(1, max(raster.shape) // SAMPLE_SIDE)
    shape = max(1, raster.height // side), max(1, raster.width // side)
    try:
        sample = raster.read(1, out_shape=shape, masked=True)
    except RasterioError as error:
        raise InputError(f"{path}: elevations cannot be read ({first_cause(error)}); is the file complete?") from error
    return np.ma.filled(sample.astype(np.float64), np.nan)


def _check_kind(raster: rasterio.DatasetReader, path: Path) -> None:
    kinds = raster.colorinterp
    if ColorInterp.red in kinds or kinds[0] == ColorInterp.palette or raster.count >= 3:
        raise InputError(
            f"{path}: contains colours ({raster.count} band(s), {kinds[0].name}), not elevations; 'products.dem' wants "
            f"one band of heights, not a hillshade or an image"
        )
    if not is_real(raster.dtypes[0]):
        raise InputError(f"{path}: elevations of type {raster.dtypes[0]} cannot be used; export real numbers")


def _metres(raster: rasterio.DatasetReader, path: Path) -> Metres:
    unit = (raster.units[0] or "").strip().lower()
    if unit not in UNITS:
        raise InputError(
            f"{path}: its elevations are in '{raster.units[0]}', which is not known here; say the unit: "
            f"gdal_edit.py -units m {path} (or ft, us-ft, dm, cm)"
        )
    factor = UNITS[unit]
    if unit in ("", "unknown"):
        factor = _vertical_unit(proj_crs(raster.crs.to_wkt()))
    scale, offset = raster.scales[0] or 1.0, raster.offsets[0] or 0.0
    return Metres(scale * factor, offset * factor)


def _vertical_unit(crs: CRS) -> float:
    """Return metres per unit of height in a compound CRS; 1 if it has no unit of height."""
    vertical = next((part for part in crs.sub_crs_list if part.is_vertical), None) if crs.is_compound else None
    return 1.0 if vertical is None else float(vertical.axis_info[0].unit_conversion_factor or 1.0)


def _text(box: Bounds | None) -> str:
    return "an unknown place" if box is None else f"{box[0]:.4f} to {box[2]:.4f}, {box[1]:.4f} to {box[3]:.4f}"
