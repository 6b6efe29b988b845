"""Distances around a landslide's point within which tiles are positive or unknown, from the landslide's size.

A landslide is modelled as an ellipse (`labels.length_to_width`; a disc, if its radius is given). Every part of it lies
within its length of any point on it, so tiles within that distance cannot be labelled negative. Within half of its
width the ground is mostly landslide.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely

from apsam.tiles.settings import LabelSettings
from apsam.vectors.columns import read_numbers

log = logging.getLogger(__name__)

# Units other than metres and square metres, as words in the names of columns (`area_ha`, `LengthKm`).
OTHER_UNITS = re.compile(
    r"ha|hectares?|acres?|mu|(sq)?km2?|kilomet(er|re)s?|(sq)?ft2?|foot|feet|yards?|miles?|(sq)?cm2?|(sq)?mm2?"
)


class Distances(NamedTuple):
    """Distances around each feature within which tiles are not negative, metres. Each (n,) float64.

    Attributes:
        positive: Tiles within this distance are positive.
        unknown: Other tiles within this distance are neither positive nor negative.
        length: Length of the landslide; NaN if it is not known.
    """

    positive: np.ndarray
    unknown: np.ndarray
    length: np.ndarray


def lengths_of(sizes: np.ndarray, settings: LabelSettings) -> np.ndarray:
    """Convert lengths (m), areas (m2) or radii (m) of landslides to lengths, m; NaN unless finite and positive."""
    sizes = np.where((sizes > 0) & np.isfinite(sizes), sizes, np.nan)
    if settings.size_kind == "area":
        return np.sqrt(4 * settings.ellipse_ratio * sizes / np.pi)
    return 2 * sizes if settings.size_kind == "radius" else sizes


def read_lengths(path: Path, settings: LabelSettings) -> np.ndarray | None:
    """Return the length of every feature of a layer by its number, NaN if unknown; None without `size_column`.

    Raises:
        InputError: The layer does not have the column, or the column has no number.
    """
    if settings.size_column is None:
        return None
    _warn_of_units(path, settings)
    lengths = lengths_of(read_numbers(path, settings.size_column), settings)
    missing = int(np.isnan(lengths).sum())
    if missing:
        log.warning(
            "%s: %d of %d features have no size in the column '%s'; labels.buffer_m (%g m) is used for them",
            path, missing, len(lengths), settings.size_column, settings.buffer_m,
        )  # fmt: skip
    return lengths


def _warn_of_units(path: Path, settings: LabelSettings) -> None:
    """Warn if the name of the column of sizes says a unit in which it is not read."""
    column = settings.size_column or ""
    words = re.findall(r"[a-z]+2?", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).replace("²", "2").lower())
    unit = next((word for word in words if OTHER_UNITS.fullmatch(word)), None)
    if unit is not None:
        log.warning(
            "%s: the name of its column '%s' says the unit '%s', but it is read in %s (labels.size_kind: %s); "
            "name a column in that unit, which QGIS's field calculator makes",
            path, column, unit, "square metres" if settings.size_kind == "area" else "metres", settings.size_kind,
        )  # fmt: skip


def distances(features: np.ndarray, lengths: np.ndarray | None, settings: LabelSettings) -> Distances:
    """Return distances around features: from the length of points if it is known, else from `buffer_m`.

    Args:
        features: (n,) geometries.
        lengths: (n,) m, NaN if not known; None: no length is known.
        settings: Buffer, and the distance within which tiles are neither positive nor negative.
    """
    positive = np.full(len(features), float(settings.buffer_m))
    known = np.full(len(features), np.nan)
    if lengths is not None:
        known = np.where(shapely.get_dimensions(features) == 0, lengths, np.nan)
        positive = np.where(np.isnan(known), positive, known / (2 * settings.ellipse_ratio))
    if settings.ignore_m == "auto":
        unknown = np.where(np.isnan(known), positive, known)
    else:
        unknown = np.maximum(positive, settings.ignore_m)
    return Distances(positive, unknown, known)


def farthest(lengths: np.ndarray | None, settings: LabelSettings) -> float:
    """Return the largest possible result of `distances`, m."""
    fixed = max(settings.buffer_m, 0 if settings.ignore_m == "auto" else settings.ignore_m)
    longest = 0.0 if lengths is None or np.isnan(lengths).all() else float(np.nanmax(lengths))
    return max(fixed, longest)
