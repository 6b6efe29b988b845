"""Find ground that two raster scenes both show (valid pixels), because training and test data must not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from apsam.datums import datum_shift, proj_crs, transformer
from apsam.tiles.georeference import degrees_of
from apsam.tiles.outlines import outline, outlines
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

# Points along a scene's edge; between them it is approximated by a line in another CRS.
EDGE_POINTS = 64

# Pixels of an overlap that are compared one by one; a larger overlap is sampled.
MOST_PIXELS = 4_000_000


class GroundOf:
    """Valid pixels of one scene, on the grid of another.

    Args:
        scene: The open scene.
        grid: The other open scene.
    """

    def __init__(self, scene: SceneReader, grid: SceneReader) -> None:
        self._scene, self._grid = scene, grid
        source, target = (proj_crs(one.crs.to_wkt()) for one in (grid, scene))
        source = datum_shift(source, target, degrees_of(scene.crs, scene.bounds)).crs
        self._to_scene = transformer(source, target)
        self._to_pixels = ~scene.transform
        self._middle = (scene.bounds[0] + scene.bounds[2]) / 2 if target.is_geographic else None
        self.outline = self._outline(target, source)

    def _outline(self, target: CRS, source: CRS) -> shapely.Geometry:
        """Return the scene's outline in the grid's CRS; empty if it cannot be transformed."""
        scene = self._scene
        edge = shapely.segmentize(
            shapely.box(0, 0, scene.width, scene.height), max(scene.height, scene.width) / EDGE_POINTS
        )
        x, y = np.array([scene.transform @ point for point in edge.exterior.coords]).T
        x, y = transformer(target, source).transform(x, y)
        if source.is_geographic:
            middle = (self._grid.bounds[0] + self._grid.bounds[2]) / 2
            x = middle + (x - middle + 180) % 360 - 180
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return shapely.Polygon()
        return shapely.make_valid(shapely.Polygon(np.column_stack([x, y])))

    def shown(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Whether the scene has valid pixels at the ground of pixels of the grid.

        Args:
            rows, cols: Pixels of the grid, of one shape.

        Returns:
            Of that shape, bool.
        """
        x, y = _apply(self._grid.transform, cols + 0.5, rows + 0.5)
        x, y = self._to_scene.transform(x, y)
        if self._middle is not None:
            x = self._middle + (x - self._middle + 180) % 360 - 180
        with np.errstate(invalid="ignore"):
            col, row = (np.floor(value) for value in _apply(self._to_pixels, x, y))
            inside = (row >= 0) & (col >= 0) & (row < self._scene.height) & (col < self._scene.width)
        found = np.zeros(inside.shape, bool)
        if inside.any():
            row, col = row[inside].astype(int), col[inside].astype(int)
            top, left, bottom, right = row.min(), col.min(), row.max() + 1, col.max() + 1
            valid, (down, across) = valid_pixels(self._scene, top, left, bottom - top, right - left)
            found[inside] = valid[(row - top) // down, (col - left) // across]
        return found


def shared_pixels(scene: SceneReader, other: SceneReader) -> tuple[int, float]:
    """Count the valid pixels of a scene that another scene shows too, and their share of all its valid pixels."""
    ground = GroundOf(other, scene)
    whole = outline(scene.transform, 0, 0, scene.height, scene.width)
    if not shapely.intersects(ground.outline, whole):
        return 0, 0.0
    x, y = shapely.get_coordinates(shapely.intersection(ground.outline, whole)).T
    col, row = _apply(~scene.transform, x, y)
    top, left = max(0, int(np.floor(row.min()))), max(0, int(np.floor(col.min())))
    bottom, right = min(scene.height, int(np.ceil(row.max()))), min(scene.width, int(np.ceil(col.max())))
    if bottom <= top or right <= left:
        return 0, 0.0
    valid, (down, across) = valid_pixels(scene, top, left, bottom - top, right - left)
    rows, cols = np.nonzero(valid)
    shared = int(ground.shown(rows * down + top, cols * across + left).sum()) * down * across
    if not shared:
        return 0, 0.0
    everywhere, (down, across) = valid_pixels(scene, 0, 0, scene.height, scene.width)
    return shared, min(1.0, shared / max(1, int(everywhere.sum()) * down * across))


def valid_pixels(scene: SceneReader, row: int, col: int, height: int, width: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return where pixels of a window are valid, bool, and the sampling steps down and across."""
    step = max(1, int(np.ceil((height * width / MOST_PIXELS) ** 0.5)))
    shape = max(1, -(-height // step)), max(1, -(-width // step))
    valid = scene.valid(Window(col, row, width, height), None if step == 1 else shape)
    return valid, (step, step)


class HeldOutGround:
    """The ground of the test scenes, which training tiles must not show.

    Args:
        images: Rasters of the held-out scenes.
        grid: The open training scene.
        tiles: Settings for reading rasters.
    """

    def __init__(self, images: Sequence[Path], grid: SceneReader, tiles: TileSettings) -> None:
        self._readers = [SceneReader(image, tiles) for image in images]
        self._grounds = [GroundOf(reader, grid) for reader in self._readers]
        self._grid = grid

    def close(self) -> None:
        """Close the rasters."""
        for reader in self._readers:
            reader.close()

    def shares(self, windows: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Whether windows (n, 4), with valid pixels (n, height, width), overlap the held-out scenes. (n,) bool."""
        found = np.zeros(len(windows), bool)
        places = outlines(self._grid.transform, windows)
        for ground in self._grounds:
            for index in np.flatnonzero(~found & shapely.intersects(ground.outline, places)):
                rows, cols = np.nonzero(valid[index])
                row, col = windows[index, :2].tolist()
                found[index] = bool(len(rows)) and bool(ground.shown(rows + row, cols + col).any())
        return found


def _apply(transform: Affine, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * x + b * y + c, d * x + e * y + f
