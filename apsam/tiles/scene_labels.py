"""Image-level labels of a raster scene's tiles, from a layer of landslides or from the mask: by what is seen in a tile.

What lies under a scene's no-data pixels makes no tile positive: a localizer would look for it in what is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.features import rasterize
from shapely.strtree import STRtree

from apsam.ruler import Ruler
from apsam.scenes import Scene
from apsam.tiles.labels import UNLABELLED, labels_from_table, read_label_layer, tile_name
from apsam.tiles.outlines import outline, outlines
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import LabelSettings
from apsam.truth import NO_DATA, TruthReader
from apsam.vectors import VECTOR_SUFFIXES, read_features

log = logging.getLogger(__name__)

# Where a mask knows less of a tile's valid pixels than this, it cannot say that the tile shows no landslide.
LEAST_KNOWN = 0.5

# Windows (n, 4) of row, col, height, width and their valid pixels (n, height, width) {0, 1} -> (n,) uint8 {0, 1, 255}.
Labeller = Callable[[np.ndarray, np.ndarray], np.ndarray]


@contextmanager
def scene_labels(scene: Scene, reader: SceneReader, windows: np.ndarray, settings: LabelSettings) -> Iterator[Labeller]:
    """What labels the tiles of a raster scene, some at a time.

    Args:
        scene: The row of the scene sheet.
        reader: The scene, open.
        windows: (n, 4) of all its tiles: a table speaks of the whole scene, and is checked as a whole.
        settings: When a tile is positive.

    Raises:
        InputError: Layer, table or mask cannot be used.
    """
    if scene.labels is None:
        with TruthReader(scene.mask, reader) as truth:
            yield lambda some, valid: labels_by_mask(truth, some, valid, settings.min_pixels)
        return
    vector = scene.labels.suffix.lower() in VECTOR_SUFFIXES
    table = read_label_layer(scene.labels) if vector else None
    if vector and table is None:
        yield LayerLabels(scene.labels, reader, settings.buffer_m)
        return
    names = _names(windows)
    known = dict(zip(names, labels_from_table(scene.labels, names, table).tolist(), strict=True))
    yield lambda some, valid: np.array([known[name] for name in _names(some)], np.uint8)


def labels_by_mask(truth: TruthReader, windows: np.ndarray, valid: np.ndarray, min_pixels: int) -> np.ndarray:
    """Positive with at least `min_pixels` landslide pixels that are valid, as the paper derives its labels.

    Others are negative where the mask knows at least half of the valid pixels, and else not labelled.
    """
    labels = np.zeros(len(windows), np.uint8)
    for index, (window, seen) in enumerate(zip(windows.tolist(), valid > 0, strict=True)):
        there = truth.read(*window)[seen]
        if np.count_nonzero(there == 1) >= min_pixels:
            labels[index] = 1
        elif np.count_nonzero(there != NO_DATA) < LEAST_KNOWN * there.size:
            labels[index] = UNLABELLED
    return labels


class LayerLabels:
    """A tile touched by a feature (point, line or polygon) is positive, others are negative.

    A tile whose features all lie under no-data pixels is not labelled. Where none touches the scene, all are negative.

    Args:
        path: The layer.
        scene: The scene.
        buffer_m: Metres by which features are widened first.

    Raises:
        InputError: The layer cannot be read, or has no CRS.
    """

    def __init__(self, path: Path, scene: SceneReader, buffer_m: float = 0) -> None:
        self._transform = scene.transform
        whole = outline(scene.transform, 0, 0, scene.height, scene.width)
        shapes = read_features(path, scene.crs).geometry.to_numpy()
        around = shapely.box(*whole.bounds)
        if buffer_m > 0:
            ruler = Ruler(CRS.from_user_input(scene.crs.to_wkt()), whole.bounds)
            near = shapes[STRtree(shapes).query(ruler.widen(around, buffer_m))]
            self._shapes = ruler.widen(near, buffer_m)
        else:
            self._shapes = shapes[STRtree(shapes).query(around)]
        self._tree = STRtree(self._shapes)
        if not len(self._tree.query(whole, predicate="intersects")):
            log.warning("%s: no feature touches the scene %s, so all its tiles are labelled negative", path, scene.path)

    def __call__(self, windows: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """(n,) uint8 {0, 1, 255} of windows (n, 4) with valid pixels (n, height, width) {0, 1}."""
        tiles, shapes = self._tree.query(outlines(self._transform, windows), predicate="intersects")
        labels = np.zeros(len(windows), np.uint8)
        labels[tiles] = 1
        for index in np.flatnonzero((labels == 1) & ~valid.all(axis=(1, 2))):
            row, col = windows[index, :2].tolist()
            place = self._transform @ Affine.translation(col, row)
            shown = rasterize(
                self._shapes[shapes[tiles == index]],
                valid[index].shape,
                transform=place,
                all_touched=True,
                dtype="uint8",
            )
            if not (shown & valid[index]).any():
                labels[index] = UNLABELLED
        return labels


def _names(windows: np.ndarray) -> list[str]:
    return [tile_name(row, col) for row, col, _, _ in windows.tolist()]
