"""Ready-made tiles that know their place (GeoTIFF): ground that a training and a test scene both show."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.features import shapes
from shapely.strtree import STRtree

from apsam.datums import proj_crs, to_degrees
from apsam.inputs.state import CheckState
from apsam.scenes import Scene, tile_files
from apsam.tiles.open_raster import open_quietly
from apsam.tiles.outlines import outline
from apsam.tiles.reader import SceneReader
from apsam.tiles.ready_made import TIFF_SUFFIXES

# Tiles of a folder, evenly spaced, whose places are compared; and the share of a tile that must be shown by another.
MOST_TILES, LEAST_SHARE = 4000, 0.01

# Side of the decimated version of a raster in which its data are looked for, pixels.
SIDE = 256


def warn_of_shared_tiles(state: CheckState, scenes: Sequence[Scene]) -> None:
    """Warn of tiles of a held-out folder whose ground a training scene shows too, and the reverse.

    Tiles that were cut with overlap and then divided at random into two folders show the same ground in both.
    """
    if not any(scene.kind == "folder" for scene in scenes):
        return
    known = [scene for scene in scenes if scene.kind != "synthetic"]
    if {scene.split for scene in known} in ({"train"}, {"test"}):
        return
    places = {scene.name: _places(state, scene) for scene in known}
    for one, other in itertools.combinations([scene for scene in known if places[scene.name]], 2):
        if "folder" not in (one.kind, other.kind) or {one.split, other.split} in ({"train"}, {"test"}):
            continue
        trains, measured = (one, other) if one.split != "test" and other.split != "train" else (other, one)
        training, held_out = places[trains.name], places[measured.name]
        pairs = _shared(list(held_out.values()), list(training.values()))
        if not len(pairs):
            continue
        first, twin = list(held_out)[pairs[0, 0]], list(training)[pairs[0, 1]]
        count = len(np.unique(pairs[:, 0]))
        state.warnings.append(
            f"{count} of {len(held_out)} file(s) of '{measured.name}' ({measured.split}) that were looked at show "
            f"ground that files of '{trains.name}' ({trains.split}) show too, for example {first} and {twin}: figures "
            f"would count as held out what was trained on; put tiles of the same place into the same scene"
        )


def _shared(places: Sequence[shapely.Geometry], others: Sequence[shapely.Geometry]) -> np.ndarray:
    """Pairs of indices (n, 2) of places that share more than an edge."""
    some, many = np.array(places), np.array(others)
    left, right = STRtree(many).query(some, predicate="intersects")
    area = shapely.area(shapely.intersection(some[left], many[right]))
    shared = area > LEAST_SHARE * np.minimum(shapely.area(some[left]), shapely.area(many[right]))
    return np.column_stack([left[shared], right[shared]])


def _places(state: CheckState, scene: Scene) -> dict[Path, shapely.Geometry]:
    """Outlines in degrees of the data of a raster, or of those tiles of a folder that know their place."""
    assert scene.image is not None
    if scene.kind != "folder":
        place = _data_of(state, scene.image)
        return {} if place is None else {scene.image: place}
    files = [file for file in tile_files(scene.image) if file.suffix.lower() in TIFF_SUFFIXES]
    found = {}
    for file in files[:: len(files) // MOST_TILES + 1]:
        place = _place(file) if state.in_time else None
        if place is not None:
            found[file] = place
    return found


def _data_of(state: CheckState, image: Path) -> shapely.Geometry | None:
    """Where a raster has data, to a pixel of its decimated version."""
    if not state.in_time:
        return None
    with SceneReader(image, state.tiles) as reader:
        _, valid = reader.stored_overview(SIDE)
        step = Affine.scale(reader.width / valid.shape[1], reader.height / valid.shape[0])
        areas = [
            shapely.geometry.shape(area) for area, _ in shapes(valid, valid > 0, transform=reader.transform @ step)
        ]
        return _in_degrees(shapely.union_all(areas), reader.crs)


def _place(file: Path) -> shapely.Geometry | None:
    try:
        with open_quietly(file) as raster:
            crs, transform, shape = raster.crs, raster.transform, raster.shape
    except RasterioError:
        return None
    if crs is None or transform.is_identity:
        return None
    return _in_degrees(outline(transform, 0, 0, *shape), crs)


def _in_degrees(place: shapely.Geometry, crs: CRS) -> shapely.Geometry | None:
    try:
        known = proj_crs(crs.to_wkt())
        turned = shapely.transform(place, lambda points: np.column_stack(to_degrees(known, *points.T)))
    except ProjError:
        return None
    # The bounds of an empty place are NaN.
    return turned if np.isfinite(shapely.bounds(turned)).all() and shapely.is_valid(turned) else None
