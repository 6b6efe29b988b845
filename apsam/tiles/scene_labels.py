"""Image-level labels of a raster scene's tiles, from a layer of landslides or from the mask, by visible pixels.

Landslides on no-data pixels make no tile positive: a localizer would learn them from the visible rest of the tile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.features import rasterize
from shapely.strtree import STRtree

from apsam.datums import proj_crs
from apsam.errors import InputError
from apsam.geodesy import Geodesy
from apsam.labelling.identity import raster_identity
from apsam.labelling.tables import check_same_tiles
from apsam.reference_mask import NO_DATA, ReferenceMaskReader
from apsam.scenes import Scene
from apsam.tiles.feature_classes import check_classes
from apsam.tiles.labels import (
    UNLABELLED,
    labels_from_table,
    read_label_layer,
    read_label_table,
    tile_name,
)
from apsam.tiles.landslide_sizes import distances, farthest, read_lengths
from apsam.tiles.outlines import outline, outlines
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import LabelSettings
from apsam.tiles.sources import label_kind
from apsam.vectors.place import read_placed

log = logging.getLogger(__name__)

# If a smaller share of a tile's valid pixels is known in the mask, the tile is not labelled negative.
LEAST_KNOWN = 0.5

# Pixels by which a polygon must reach into a tile; less may be a shared edge with rounding errors.
EDGE = 1e-3

# Windows (n, 4) of row, col, height, width and their valid pixels (n, height, width) {0, 1} -> (n,) uint8 {0, 1, 255}.
Labeller = Callable[[np.ndarray, np.ndarray], np.ndarray]


@contextmanager
def scene_labels(scene: Scene, reader: SceneReader, windows: np.ndarray, settings: LabelSettings) -> Iterator[Labeller]:
    """Label tiles of a raster scene, some at a time.

    Args:
        scene: The row of the scene sheet.
        reader: The open scene.
        windows: (n, 4) of all its tiles, because a table is for the whole scene and is checked as a whole.
        settings: When a tile is positive.

    Raises:
        InputError: Layer, table or mask cannot be used.
    """
    if scene.labels is None:
        mask = scene.mask_source
        assert mask is not None
        with ReferenceMaskReader(mask, reader, scene.mask_values) as reference:
            yield lambda some, valid: labels_by_mask(reference, some, valid, settings.min_pixels)
        return
    source = scene.labels_source
    assert source is not None
    known = tile_table(scene, reader, windows)
    if known is None:
        layer = LayerLabels(source, reader, settings)
        if not layer.touches:
            log.warning(
                "%s: no feature touches the scene %s, so all its tiles are labelled negative",
                scene.labels_source, reader.path,
            )  # fmt: skip
        yield layer
        return
    yield lambda some, valid: np.array([known[name] for name in _names(some)], np.uint8)


def tile_table(scene: Scene, reader: SceneReader, windows: np.ndarray) -> dict[str, int] | None:
    """Read labels of all tiles of a raster scene by name, 255 not labelled; None if a layer of landslides is used.

    Args:
        scene: The row of the scene sheet; its labels are not derived from the mask.
        reader: The open scene.
        windows: (n, 4) of all its tiles.

    Raises:
        InputError: Table or grid cannot be used, or belongs to another scene or grid.
    """
    source = scene.labels_source
    assert source is not None
    table = read_label_layer(source) if label_kind(source) == "layer" else read_label_table(source)
    if table is None:
        return None
    if scene.label_values:
        raise InputError(
            f"{source}: labels tiles, so {scene.label_values[0][0]} of scene '{scene.name}' has no use; leave it empty"
        )
    settings = reader.settings
    check_same_tiles(source, raster_identity(scene.name, settings.size, settings.stride, *reader.grid))
    names = _names(windows)
    return dict(zip(names, labels_from_table(source, names, table).tolist(), strict=True))


def labels_by_mask(
    reference: ReferenceMaskReader, windows: np.ndarray, valid: np.ndarray, min_pixels: int
) -> np.ndarray:
    """Positive with at least `min_pixels` valid landslide pixels, like the labels of the paper.

    Others are negative if at least half of the valid pixels are known in the mask, and else not labelled.
    """
    labels = np.zeros(len(windows), np.uint8)
    for index, (window, seen) in enumerate(zip(windows.tolist(), valid > 0, strict=True)):
        there = reference.read(*window)[seen]
        if np.count_nonzero(there == 1) >= min_pixels:
            labels[index] = 1
        elif np.count_nonzero(there != NO_DATA) < LEAST_KNOWN * there.size:
            labels[index] = UNLABELLED
    return labels


class NearFeatures(NamedTuple):
    """Features of a layer near a scene.

    Attributes:
        features: (n,) geometries in the scene's CRS.
        lengths: (n,) of the landslides, m, NaN if not known; None without `labels.size_column`.
        reach: Distance from the scene, m, within which features are used.
        geodesy: Metres of the scene's CRS; None if `reach` is 0.
    """

    features: np.ndarray
    lengths: np.ndarray | None
    reach: float
    geodesy: Geodesy | None


def features_near(
    path: Path, crs: CRS, transform: Affine, height: int, width: int, settings: LabelSettings
) -> NearFeatures:
    """Read the features of a layer that can matter for a scene's labels.

    Args:
        path: The layer.
        crs, transform, height, width: Of the scene.
        settings: Distances around a feature.

    Raises:
        InputError: The layer cannot be read, has no CRS or no column of sizes.
    """
    whole = outline(transform, 0, 0, height, width)
    around = shapely.box(*whole.bounds)
    lengths = read_lengths(path, settings)
    reach = farthest(lengths, settings)
    geodesy = Geodesy(proj_crs(crs.to_wkt()), whole.bounds) if reach > 0 else None
    wide = around if geodesy is None else geodesy.buffer(around, reach)
    shapes, rows = read_placed(path, crs, wide.bounds)
    near = STRtree(shapes).query(wide)
    return NearFeatures(shapes[near], None if lengths is None else lengths[rows[near]], reach, geodesy)


class LayerLabels:
    """A tile touched by a feature (point, line or polygon) is positive, others are negative.

    A polygon must overlap the tile: a shared edge does not count. A closed line is read as the outline of a polygon. A
    tile whose features are all on no-data pixels is not labelled, nor is one near a feature that does not touch it
    (`labels.ignore_m`). If no feature touches the scene, all tiles are negative.

    Args:
        path: The layer.
        scene: The scene.
        settings: Distances around a feature within which tiles are positive, and not negative.

    Attributes:
        touches: Whether any feature touches the scene.
        features: Those near the scene, in its CRS.
        shapes: The same, buffered.
        distances: Around each of them (`apsam.tiles.landslide_sizes.Distances`).
        reach: Distance from the scene, m, within which features of the layer are used.

    Raises:
        InputError: The layer cannot be read, has no CRS or no column of sizes, or has features that are no landslide.
    """

    def __init__(self, path: Path, scene: SceneReader, settings: LabelSettings | None = None) -> None:
        settings = settings or LabelSettings()
        check_classes(path)
        self._transform = scene.transform
        found = features_near(path, scene.crs, scene.transform, scene.height, scene.width, settings)
        self.reach, self._geodesy = found.reach, found.geodesy
        self.features = closed_lines_as_areas(path, found.features)
        self.distances = distances(self.features, found.lengths, settings)
        self.shapes = _buffered(self.features, self.distances.positive, self._geodesy)
        self._tree = STRtree(self.shapes)
        self._areal = shapely.area(self.shapes) > 0
        ignored = self.distances.unknown > self.distances.positive
        self._around = self._within(self.distances.unknown, ignored)
        whole_scene = np.array([(0, 0, scene.height, scene.width)])
        self.touches = bool(len(self.touching(whole_scene)[0]))

    def near(self, windows: np.ndarray) -> np.ndarray:
        """Whether windows (n, 4) are so close to a feature that they are not negative. (n,) bool."""
        return self._some(self._around, windows)

    def within_length(self, windows: np.ndarray) -> np.ndarray:
        """Whether windows (n, 4) are within the known length of a landslide from its point. (n,) bool."""
        known = np.isfinite(self.distances.length)
        return self._some(self._within(self.distances.length, known), windows)

    def _within(self, metres: np.ndarray, some: np.ndarray) -> STRtree:
        return STRtree(_buffered(self.features[some], metres[some], self._geodesy))

    def _some(self, tree: STRtree, windows: np.ndarray) -> np.ndarray:
        found = np.zeros(len(windows), bool)
        if len(tree.geometries):
            found[tree.query(outlines(self._transform, windows), predicate="intersects")[0]] = True
        return found

    def touching(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs of windows (n, 4) and features that touch, by index, in the order of the windows."""
        tiles, shapes = self._tree.query(outlines(self._transform, windows), predicate="intersects")
        if not self._areal[shapes].any():
            return tiles, shapes
        inner = np.asarray(windows, float) + [EDGE, EDGE, -2 * EDGE, -2 * EDGE]
        sharing = self._tree.query(outlines(self._transform, inner), predicate="intersects")
        pairs = {*zip(tiles[~self._areal[shapes]].tolist(), shapes[~self._areal[shapes]].tolist(), strict=True)}
        areal = self._areal[sharing[1]]
        pairs |= {*zip(sharing[0][areal].tolist(), sharing[1][areal].tolist(), strict=True)}
        both = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def __call__(self, windows: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Label windows (n, 4) with valid pixels (n, height, width) {0, 1}. (n,) uint8 {0, 1, 255}."""
        tiles, shapes = self.touching(windows)
        labels = np.where(self.near(windows), UNLABELLED, 0).astype(np.uint8)
        labels[tiles] = 1
        for index in np.flatnonzero((labels == 1) & ~valid.all(axis=(1, 2))):
            row, col = windows[index, :2].tolist()
            place = self._transform @ Affine.translation(col, row)
            shown = rasterize(
                self.shapes[shapes[tiles == index]],
                valid[index].shape,
                transform=place,
                all_touched=True,
                dtype="uint8",
            )
            if not (shown & valid[index]).any():
                labels[index] = UNLABELLED
        return labels


def closed_lines_as_areas(path: Path, features: np.ndarray) -> np.ndarray:
    """Features, of which closed lines have become polygons, with a warning: tiles within an outline show landslide.

    Args:
        path: The layer, for the warning.
        features: (n,) geometries.
    """
    lines = np.flatnonzero(shapely.get_dimensions(features) == 1)
    closed = [index for index in lines if all(part.is_closed for part in shapely.get_parts(features[index]))]
    if not closed:
        return features
    log.warning(
        "%s: %d of %d lines are closed and are read as outlines of areas; where that is wrong, open them",
        path, len(closed), len(lines),
    )  # fmt: skip
    areas = features.copy()
    for index in closed:
        rings = [shapely.Polygon(part.coords) for part in shapely.get_parts(features[index]) if len(part.coords) > 3]
        areas[index] = shapely.union_all([shapely.make_valid(ring) for ring in rings]) if rings else features[index]
    return areas


def _buffered(features: np.ndarray, metres: np.ndarray, geodesy: Geodesy | None) -> np.ndarray:
    """Buffer features, each by its own distance; those with distance 0 are not changed."""
    some = metres > 0
    if geodesy is None or not some.any():
        return features
    widened = features.copy()
    widened[some] = geodesy.buffer(features[some], metres[some])
    return widened


def _names(windows: np.ndarray) -> list[str]:
    return [tile_name(row, col) for row, col, _, _ in windows.tolist()]
