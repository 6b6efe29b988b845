"""Ready-made tiles that know their place (GeoTIFF): ground that a training and a test scene both show."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
import shapely
from pyproj.exceptions import ProjError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from shapely.strtree import STRtree

from apsam.datums import proj_crs, to_degrees
from apsam.inputs.state import CheckState
from apsam.scenes import Scene, tile_files
from apsam.tiles.outlines import outline
from apsam.tiles.ready_made import TIFF_SUFFIXES

# Tiles of a folder, evenly spaced, whose places are compared; and the share of a tile that must be shown by another.
MOST_TILES, LEAST_SHARE = 4000, 0.01


def warn_of_shared_tiles(state: CheckState, scenes: Sequence[Scene]) -> None:
    """Warn of tiles of a held-out folder whose ground a training scene shows too, and the reverse.

    Tiles that were cut with overlap and then divided at random into two folders show the same ground in both.
    """
    if not any(scene.kind == "folder" for scene in scenes):
        return
    places = {scene.name: _places(state, scene) for scene in scenes if scene.kind != "synthetic"}
    for one, other in itertools.combinations([scene for scene in scenes if places.get(scene.name)], 2):
        if "folder" not in (one.kind, other.kind) or {one.split, other.split} in ({"train"}, {"test"}):
            continue
        trains, measured = (one, other) if other.split == "test" else (other, one)
        training, held_out = places[trains.name], places[measured.name]
        pairs = _shared(list(held_out.values()), list(training.values()))
        if not len(pairs):
            continue
        first, twin = list(held_out)[pairs[0, 0]], list(training)[pairs[0, 1]]
        count = len(np.unique(pairs[:, 0]))
        state.warnings.append(
            f"{count} of {len(held_out)} file(s) of '{measured.name}' ({measured.split}) show ground that files of "
            f"'{trains.name}' ({trains.split}) show too, for example {first} and {twin}: figures would count as held "
            f"out what was trained on; put tiles of the same place into the same scene"
        )


def _shared(places: Sequence[shapely.Geometry], others: Sequence[shapely.Geometry]) -> np.ndarray:
    """Pairs of indices (n, 2) of places that share more than an edge."""
    some, many = np.array(places), np.array(others)
    left, right = STRtree(many).query(some, predicate="intersects")
    area = shapely.area(shapely.intersection(some[left], many[right]))
    shared = area > LEAST_SHARE * np.minimum(shapely.area(some[left]), shapely.area(many[right]))
    return np.column_stack([left[shared], right[shared]])


def _places(state: CheckState, scene: Scene) -> dict[Path, shapely.Geometry]:
    """Outlines in degrees of a raster, or of those tiles of a folder that know their place."""
    assert scene.image is not None
    files = [scene.image]
    if scene.kind == "folder":
        files = [file for file in tile_files(scene.image) if file.suffix.lower() in TIFF_SUFFIXES]
        files = files[:: len(files) // MOST_TILES + 1]
    found = {}
    for file in files:
        place = _place(file) if state.in_time else None
        if place is not None:
            found[file] = place
    return found


def _place(file: Path) -> shapely.Geometry | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(file) as raster:
                crs, transform, shape = raster.crs, raster.transform, raster.shape
        except RasterioError:
            return None
    if crs is None or transform.is_identity:
        return None
    try:
        known = proj_crs(crs.to_wkt())
        place = shapely.transform(
            outline(transform, 0, 0, *shape), lambda points: np.column_stack(to_degrees(known, *points.T))
        )
    except ProjError:
        return None
    return place if np.isfinite(shapely.bounds(place)).all() and place.is_valid else None
