"""Shifts between geodetic datums: find one through a third datum if PROJ has none, or report the possible error.

Between two datums for which its database has no transformation, or only one whose grid is not installed, PROJ falls
back on a "ballpark" transformation without a message: coordinates are not changed, and may be wrong by hundreds of
metres.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from pyproj import CRS, Geod, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.crs import BoundCRS
from pyproj.crs.coordinate_operation import ToWGS84Transformation
from pyproj.database import query_crs_info
from pyproj.enums import PJType
from pyproj.transformer import TransformerGroup

from apsam.bounds import Bounds, middle_of

# Below this, metres, nothing is reported: less than the pixels and outlines that landslides are mapped by.
QUIET_M = 2.0

# A transformation with an accuracy of at least this, metres, is reported even if no better one is known.
POOR_M = 10.0

# Semi-major axis and inverse flattening of GRS 80 and WGS 84. Datums on them follow the ITRF and agree within two
# metres.
MODERN_AXIS, MODERN_FLATTENING = 6378137.0, 298.2572

# Ellipsoids are the same if their axes agree within a metre, because programs round their parameters.
SAME_AXIS = 1.0

# How programs name a CRS or datum that has no name.
UNNAMED = re.compile(r"(gcs_|d_)?(unknown|unnamed|undefined|user.?defined|not.specified)", re.IGNORECASE)

# A projected CRS that is used over more degrees of longitude is not that of one country.
LOCAL_DEGREES = 10

WGS84 = CRS.from_epsg(4326)

AUTHORITY = re.compile(r',AUTHORITY\["[^"]*","[^"]*"\]')


@dataclass(frozen=True)
class DatumShift:
    """Transformation of coordinates of one CRS to another's datum.

    Attributes:
        crs: CRS to transform from: the source, or, if PROJ has only a ballpark transformation and a way through a
            third datum was found, the source bound to WGS 84 by a translation that is valid in the area.
        note: Message for the user, one sentence without the file's name; None if there is nothing to report.
        unknown: Whether the shift is unknown, so that the note is a warning.
    """

    crs: CRS
    note: str | None = None
    unknown: bool = False

    @property
    def wkt(self) -> str:
        """Return the CRS for GDAL, which ignores the bound shift of a CRS that has an EPSG code."""
        return AUTHORITY.sub("", self.crs.to_wkt("WKT1_GDAL")) if self.crs.is_bound else self.crs.to_wkt()


def datum_shift(source: CRS, target: CRS, area: Bounds | None) -> DatumShift:
    """Look up the transformation between the datums of two CRSs.

    Args:
        source, target: Coordinate reference systems.
        area: Area of the coordinates: west, south, east, north in degrees; None: anywhere.
    """
    place = None if area is None else tuple(round(value, 1) for value in area)
    return _datum_shift(source.to_wkt(), target.to_wkt(), place)


@lru_cache(maxsize=256)
def proj_crs(wkt: str) -> CRS:
    """Return a CRS from its WKT; each WKT is parsed once."""
    return CRS.from_wkt(wkt)


def transformer(source: CRS, target: CRS) -> Transformer:
    """Return the transformer between two CRSs, x before y; each is made once."""
    return _transformer(source.to_wkt(), target.to_wkt())


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(proj_crs(source), proj_crs(target), always_xy=True)


@lru_cache(maxsize=256)
def _datum_shift(source_wkt: str, target_wkt: str, area: Bounds | None) -> DatumShift:
    source, target = CRS.from_wkt(source_wkt), CRS.from_wkt(target_wkt)
    if _same_datum(source, target) or (_is_modern(source) and _is_modern(target)):
        return DatumShift(source)
    if source.is_bound or target.is_bound:
        return DatumShift(source)  # the CRS says itself how it is shifted (towgs84)
    best = _best(source, target, area)
    if best is not None and best.accuracy <= POOR_M and (best.complete or best.accuracy <= QUIET_M):
        return DatumShift(source)
    names = f"from {_datum_in_words(source)} to {_datum_in_words(target)}"
    through = _through_third_datum(source, target, area) if area is not None else None
    if through is not None and (best is None or through.accuracy < best.accuracy):
        unsure = f", good to {through.accuracy:.0f} m" if through.accuracy > 0 else ""
        return DatumShift(
            through.crs,
            f"PROJ has no direct transformation {names} here; its coordinates are shifted by way of {through.name} "
            f"({through.moved:.0f} m{unsure})",
            unknown=through.accuracy > POOR_M,
        )
    if best is not None:
        better = ", since the grid of a better one is not installed (projsync --all, or PROJ_NETWORK=ON)"
        return DatumShift(
            source,
            f"the transformation {names} is good to {best.accuracy:.0f} m only{better if not best.complete else ''}",
            unknown=True,
        )
    remedy = "transform the file by the parameters of your mapping agency first"
    if "unnamed datum" in names:
        remedy = f"assign the CRS that names its datum, or {remedy}"
    return DatumShift(
        source,
        f"PROJ knows no transformation {names} here, so coordinates are taken as they are, which may put them "
        f"{_likely_size(source, target, area)} off; {remedy}{_missing_grids(source, target, area)}",
        unknown=True,
    )


@dataclass(frozen=True)
class _Best:
    accuracy: float
    complete: bool


@dataclass(frozen=True)
class _Through:
    crs: CRS
    name: str
    accuracy: float
    moved: float


def _cell(area: Bounds | None) -> Bounds | None:
    """Round an area to whole degrees, so that all scenes in it share one lookup in PROJ's database."""
    if area is None:
        return None
    west, south, east, north = area
    return math.floor(west), max(math.floor(south), -90), math.ceil(east), min(math.ceil(north), 90)


def _group(source: CRS, target: CRS, area: Bounds | None) -> TransformerGroup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of grids that are not installed
        wanted = AreaOfInterest(*area) if area is not None and area[0] <= area[2] else None
        return TransformerGroup(source, target, always_xy=True, area_of_interest=wanted)  # type: ignore[arg-type]  # pyproj's stubs know two classes of this name


def _best(source: CRS, target: CRS, area: Bounds | None) -> _Best | None:
    """Return the transformation that PROJ uses; None if it is a ballpark one."""
    return _best_in(source.to_wkt(), target.to_wkt(), _cell(area))


@lru_cache(maxsize=4096)
def _best_in(source_wkt: str, target_wkt: str, area: Bounds | None) -> _Best | None:
    group = _group(proj_crs(source_wkt), proj_crs(target_wkt), area)
    first = next(iter(group.transformers), None)
    if first is None or _is_guess(first.description):
        return None
    if first.accuracy < 0:
        return _Best(QUIET_M, True) if group.best_available else None
    return _Best(first.accuracy, group.best_available)


def _is_guess(description: str) -> bool:
    """Whether PROJ omits a datum shift.

    If the prime meridians differ too, the name is not "ballpark ..." but "Transformation from A to B", with an accuracy
    of 0; no transformation in its database has such a name.
    """
    return "ballpark" in description.lower() or "Transformation from " in description


def _geographic(crs: CRS) -> CRS:
    found = crs.geodetic_crs
    return crs if found is None else found.to_2d() if hasattr(found, "to_2d") else found


def _through_third_datum(source: CRS, target: CRS, area: Bounds) -> _Through | None:
    """Find the most accurate combination of two known transformations with a third datum between them.

    Transformations are mostly between geographic CRSs; some agencies publish them between projected ones.
    """
    first, last = _geographic(source), _geographic(target)
    if any(UNNAMED.match(_datum_name(crs)) for crs in (first, last)):
        return None  # the database has no entry for a hand-written CRS
    chains = _chains(first, last, [WGS84, *_known_here(PJType.GEOGRAPHIC_2D_CRS, area)], area)
    if not chains:
        projected = _known_here(PJType.PROJECTED_CRS, area)
        starts = [crs for crs in projected if _same_datum(crs, first)]
        others = [crs for crs in projected if not _same_datum(crs, first)]
        chains = [chain for start in starts for chain in _chains(start, last, others, area)]
    if not chains:
        return None
    accuracy, start, middle = min(chains, key=lambda chain: chain[0])
    longitude, latitude = middle_of(area)
    shifted = _in_its_units(longitude, latitude, first)
    for one, other in ((first, start), (start, middle), (middle, last), (last, WGS84)):
        shifted = Transformer.from_crs(one, other, always_xy=True).transform(*shifted)
    if not all(map(math.isfinite, shifted)):
        return None
    translation = [
        round(b - a, 4)
        for a, b in zip(_geocentric(longitude, latitude, first), _geocentric(*shifted, WGS84), strict=True)
    ]
    moved = Geod(ellps="WGS84").inv(longitude, latitude, *shifted)[2]
    horizontal = source.sub_crs_list[0] if source.is_compound else source
    bound = BoundCRS(horizontal, WGS84, ToWGS84Transformation(first, *translation))
    return _Through(bound, _datum_name(middle), accuracy, moved)


def _chains(start: CRS, last: CRS, middles: list[CRS], area: Bounds) -> list[tuple[float, CRS, CRS]]:
    """Return accuracy in metres, start and middle of all known ways from `start` through a middle to `last`."""
    found = []
    for middle in middles:
        if _same_datum(middle, start) or _same_datum(middle, last):
            continue
        to_middle = _modern_or_best(start, middle, area)
        if to_middle is None or to_middle.accuracy > 2 * POOR_M:
            continue
        onward = _modern_or_best(middle, last, area)
        if onward is not None:
            found.append((to_middle.accuracy + onward.accuracy, start, middle))
    return found


def _modern_or_best(source: CRS, target: CRS, area: Bounds) -> _Best | None:
    return _Best(1.0, True) if _is_modern(source) and _is_modern(target) else _best(source, target, area)


def _known_here(kind: PJType, area: Bounds) -> list[CRS]:
    return list(_known_in(kind, _cell(area)))


@lru_cache(maxsize=64)
def _known_in(kind: PJType, area: Bounds) -> tuple[CRS, ...]:
    west, south, east, north = area
    place = AreaOfInterest(west, south, east, north) if west <= east else None
    found = query_crs_info(auth_name="EPSG", pj_types=[kind], area_of_interest=place, contains=False)
    local = [info for info in found if not info.deprecated and info.code != "4326"]
    if kind == PJType.PROJECTED_CRS:
        # Only those of one country: those of the world and of continents are connected by geographic CRSs.
        areas = [(info, info.area_of_use) for info in local]
        local = [info for info, area in areas if area is not None and area.east - area.west < LOCAL_DEGREES]
    return tuple(CRS.from_epsg(info.code) for info in local)


def _in_its_units(longitude: float, latitude: float, crs: CRS) -> tuple[float, float]:
    """Convert longitudes of a geographic CRS to degrees from Greenwich; some CRSs have another meridian, or grads."""
    radians_a_unit = crs.axis_info[0].unit_conversion_factor
    return math.radians(longitude - prime_meridian(crs)) / radians_a_unit, math.radians(latitude) / radians_a_unit


def in_degrees(x: Any, y: Any, crs: CRS) -> tuple[Any, Any]:
    """Convert coordinates of a geographic CRS to longitude from Greenwich (may exceed 180) and latitude, degrees.

    Some CRSs have another prime meridian (Paris, Rome, Ferro), and some of these use grads.

    Args:
        x, y: Numbers, or arrays of one shape.
        crs: The CRS, x before y.
    """
    degrees_a_unit = math.degrees(crs.axis_info[0].unit_conversion_factor)
    return np.asarray(x) * degrees_a_unit + prime_meridian(crs), np.asarray(y) * degrees_a_unit


def to_degrees(crs: CRS, x: Any, y: Any) -> tuple[Any, Any]:
    """Convert coordinates in any CRS to longitude from Greenwich and latitude, degrees of the CRS's own datum."""
    geographic = crs.geodetic_crs
    assert geographic is not None  # only engineering CRSs have none, and no scene uses them
    return in_degrees(*transformer(crs, geographic).transform(x, y), geographic)


def prime_meridian(crs: CRS) -> float:
    """Return the prime meridian of a CRS in degrees from Greenwich."""
    meridian = crs.prime_meridian
    return 0.0 if meridian is None else math.degrees(meridian.longitude * float(meridian.unit_conversion_factor))


def _geocentric(longitude: float, latitude: float, crs: CRS) -> tuple[float, float, float]:
    """Return Earth-centred coordinates in metres of a point at height 0."""
    assert crs.ellipsoid is not None
    a, flattening = crs.ellipsoid.semi_major_metre, crs.ellipsoid.inverse_flattening
    f = 1 / flattening if flattening else 0.0
    e2 = f * (2 - f)
    lon, lat = math.radians(longitude), math.radians(latitude)
    n = a / math.sqrt(1 - e2 * math.sin(lat) ** 2)
    return n * math.cos(lat) * math.cos(lon), n * math.cos(lat) * math.sin(lon), n * (1 - e2) * math.sin(lat)


def _likely_size(source: CRS, target: CRS, area: Bounds | None) -> str:
    """Estimate the error of untransformed coordinates by the shifts of transformations in other regions."""
    first, last = _geographic(source), _geographic(target)
    if area is not None:
        longitude, latitude = middle_of(area)
        moved = []
        for one in _group(first, last, None).transformers + _group(first, WGS84, None).transformers:
            if _is_guess(one.description):
                continue
            there = one.transform(longitude, latitude)
            if all(map(math.isfinite, there)):
                moved.append(Geod(ellps="WGS84").inv(longitude, latitude, *there)[2])
        # If they only change the prime meridian, the size is unknown.
        moved = [metres for metres in moved if QUIET_M < metres < 5000]
        if moved:
            return f"about {sorted(moved)[len(moved) // 2]:.0f} m (by transformations of other regions)"
    return "50 to 800 m"


def _missing_grids(source: CRS, target: CRS, area: Bounds | None) -> str:
    grids = [
        grid.short_name
        for operation in _group(source, target, area).unavailable_operations
        for grid in operation.grids
        if not grid.available
    ]
    names = list(dict.fromkeys(grids))[:2]
    return f", or install PROJ's grid {' or '.join(names)} (projsync, or PROJ_NETWORK=ON)" if names else ""


def _same_datum(one: CRS, other: CRS) -> bool:
    """Whether two CRSs have one datum.

    Those of hand-written CRSs have no name; on the same ellipsoid, nothing tells them apart. PROJ accounts for their
    prime meridians.
    """
    name = _datum_name(one)
    if name != _datum_name(other) or not _same_ellipsoid(one, other):
        return False
    if UNNAMED.match(name):
        return _own_datum_name(one) == _own_datum_name(other)
    return math.isclose(prime_meridian(one), prime_meridian(other), abs_tol=1e-6)


def _same_ellipsoid(one: CRS, other: CRS) -> bool:
    first, second = one.ellipsoid, other.ellipsoid
    if first is None or second is None:
        return first is second
    return (
        abs(first.semi_major_metre - second.semi_major_metre) < SAME_AXIS
        and abs(first.semi_minor_metre - second.semi_minor_metre) < SAME_AXIS
    )


def _datum_name(crs: CRS) -> str:
    geographic = crs.geodetic_crs or crs
    return geographic.name.removesuffix(" (3D)")


def _own_datum_name(crs: CRS) -> str | None:
    """Return the name of the datum itself, for CRSs without one: `+datum=NAD27`; None if it has none either."""
    datum = (crs.geodetic_crs or crs).datum
    return None if datum is None or UNNAMED.match(datum.name) else datum.name


def _datum_in_words(crs: CRS) -> str:
    name = _datum_name(crs)
    if not UNNAMED.match(name):
        return name
    ellipsoid = "an unknown ellipsoid" if crs.ellipsoid is None else f"the ellipsoid {crs.ellipsoid.name}"
    return _own_datum_name(crs) or f"an unnamed datum on {ellipsoid}"


def _is_modern(crs: CRS) -> bool:
    """Whether a datum follows the ITRF by its ellipsoid, and is not bound to another by its own parameters."""
    ellipsoid = crs.ellipsoid
    return (
        ellipsoid is not None
        and not crs.is_bound
        and abs(ellipsoid.semi_major_metre - MODERN_AXIS) < 0.5
        and abs(ellipsoid.inverse_flattening - MODERN_FLATTENING) < 1e-3
    )
