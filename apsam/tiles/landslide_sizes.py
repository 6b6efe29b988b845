"""What the known size of a landslide says of the ground around the point that stands for it.

A landslide is taken for an ellipse twice as long as wide. Every part of it lies within its length of any point on it,
so no tile within that distance is surely free of it; within a quarter of its length, half of its width, the ground is
mostly landslide.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import shapely

from apsam.tiles.settings import LabelSettings
from apsam.vectors.columns import read_numbers

log = logging.getLogger(__name__)


class Distances(NamedTuple):
    """How far around each feature tiles are not negative, metres. Each (n,) float64.

    Attributes:
        positive: Tiles within it are positive.
        unknown: Others within it are neither positive nor negative.
        length: Length of the landslide; NaN where it is not known.
    """

    positive: np.ndarray
    unknown: np.ndarray
    length: np.ndarray


def lengths_of(sizes: np.ndarray, kind: Literal["length", "area", "radius"]) -> np.ndarray:
    """Lengths of landslides, m, of their lengths (m), areas (m2) or radii (m); NaN where a size is not positive."""
    sizes = np.where(sizes > 0, sizes, np.nan)
    if kind == "area":
        return np.sqrt(8 * sizes / np.pi)
    return 2 * sizes if kind == "radius" else sizes


def read_lengths(path: Path, settings: LabelSettings) -> np.ndarray | None:
    """The length of every feature of a layer by its number, NaN where it is not known; None without `size_column`.

    Raises:
        InputError: The layer has no such column, or it holds no number.
    """
    if settings.size_column is None:
        return None
    lengths = lengths_of(read_numbers(path, settings.size_column), settings.size_kind)
    missing = int(np.isnan(lengths).sum())
    if missing:
        log.warning(
            "%s: %d of %d features have no size in the column '%s'; labels.buffer_m (%g m) is used for them",
            path, missing, len(lengths), settings.size_column, settings.buffer_m,
        )  # fmt: skip
    return lengths


def distances(features: np.ndarray, lengths: np.ndarray | None, settings: LabelSettings) -> Distances:
    """Distances around features: by their length those of points whose length is known, by `buffer_m` all others.

    Args:
        features: (n,) geometries.
        lengths: (n,) m, NaN where not known; None: of none.
        settings: Buffer, and how far tiles are neither positive nor negative.
    """
    positive = np.full(len(features), float(settings.buffer_m))
    known = np.full(len(features), np.nan)
    if lengths is not None:
        known = np.where(shapely.get_dimensions(features) == 0, lengths, np.nan)
        share = 0.5 if settings.size_kind == "radius" else 0.25
        positive = np.where(np.isnan(known), positive, share * known)
    if settings.ignore_m == "auto":
        unknown = np.where(np.isnan(known), positive, known)
    else:
        unknown = np.maximum(positive, settings.ignore_m)
    return Distances(positive, unknown, known)


def farthest(lengths: np.ndarray | None, settings: LabelSettings) -> float:
    """The largest distance that `distances` may give, m."""
    fixed = max(settings.buffer_m, 0 if settings.ignore_m == "auto" else settings.ignore_m)
    longest = 0.0 if lengths is None or np.isnan(lengths).all() else float(np.nanmax(lengths))
    return max(fixed, longest)
