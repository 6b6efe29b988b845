"""Rasterize a reference mask of polygons on the grid of a scene."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from shapely.strtree import STRtree

from apsam.errors import InputError
from apsam.tiles.feature_classes import check_classes
from apsam.tiles.outlines import outline
from apsam.tiles.reader import SceneReader
from apsam.vectors.place import read_shapes
from apsam.vectors.read import read_layer

# Polygon, MultiPolygon, GeometryCollection, as GEOS numbers them.
AREAS = (3, 6, 7)
COLLECTION = 7


def mask_polygons(path: Path, scene: SceneReader) -> np.ndarray:
    """Read the polygons of a mask's layer near a scene, in its CRS; of geometry collections only the polygons.

    Raises:
        InputError: There are points or lines near the scene, or the layer has no polygons at all.
    """
    check_classes(path)
    shapes = read_shapes(path, scene.crs, scene.bounds)
    everywhere = np.asarray(read_layer(path).geometry.array)
    some_are_areas = np.isin(shapely.get_type_id(everywhere), AREAS).any()
    others = Counter(
        shape.geom_type
        for shape in (shapes if some_are_areas else everywhere)
        if shapely.get_type_id(shape) not in AREAS
    )
    if not others:
        return np.array([_areas(shape) for shape in shapes])
    listed = ", ".join(f"{count} x {kind}" for kind, count in sorted(others.items()))
    lines = any("Line" in kind or "Ring" in kind for kind in others)
    remedy = (
        "make polygons of closed lines (QGIS: Vector geometry > Lines to polygons)"
        if lines
        else "put points into the column 'labels' (with 'labels.buffer_m'), and leave 'mask' empty"
    )
    raise InputError(
        f"{path}: contains {listed}, of which no landslide's extent can be taken; a mask needs outlines as polygons: "
        f"{remedy}"
    )


def _areas(shape: shapely.Geometry) -> shapely.Geometry:
    """Return the polygons of a collection; any other geometry unchanged."""
    if shapely.get_type_id(shape) != COLLECTION:
        return shape
    return shapely.union_all([part for part in shapely.get_parts(shape) if shapely.get_dimensions(part) == 2])


class PolygonMask:
    """A mask of polygons; a window rasterizes only those that touch it."""

    note: str | None = None
    no_data: float | None = None

    def __init__(self, path: Path, scene: SceneReader) -> None:
        self._transform, self._size = scene.transform, (scene.height, scene.width)
        self._shapes = mask_polygons(path, scene)
        self._tree = STRtree(self._shapes)

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """Read one window within the scene, (height, width) uint8 {0, 1, 255}."""
        near = self._tree.query(outline(self._transform, row, col, height, width))
        if not len(near):
            return np.zeros((height, width), np.uint8)
        place = window_transform(Window(col, row, width, height), self._transform)
        return rasterize(self._shapes[near], (height, width), transform=place, fill=0, default_value=1, dtype="uint8")

    def overview(self, height: int, width: int) -> np.ndarray:
        """Read the whole scene, (height, width) uint8 {0, 1, 255}."""
        place = self._transform @ Affine.scale(self._size[1] / width, self._size[0] / height)
        if not len(self._shapes):
            return np.zeros((height, width), np.uint8)
        return rasterize(self._shapes, (height, width), transform=place, all_touched=True, dtype="uint8")

    def close(self) -> None:
        """Do nothing: no file is open."""
