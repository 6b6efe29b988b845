"""What a point inventory with sizes says of the ground: the probability of a landslide at every pixel.

A landslide is modelled as an ellipse (`labels.length_to_width`; a disc, if its radius is given), in any direction, with
its point anywhere in it. Then the probability that it covers the ground at a distance d from its point is the share of
the ellipse that overlaps the ellipse shifted by d, averaged over all directions: its set covariance (Matheron, Random
Sets and Integral Geometry, 1975). It is 1 at the point and 0 from the landslide's length on.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from rasterio.crs import CRS

from apsam.geodesy import Geodesy
from apsam.ground.raster import Grid
from apsam.tiles.labels import read_label_layer
from apsam.tiles.landslide_sizes import distances
from apsam.tiles.scene_labels import features_near
from apsam.tiles.settings import LabelSettings
from apsam.tiles.sources import label_kind

log = logging.getLogger(__name__)

DIRECTIONS = 180
# Distances, in lengths, at which the set covariance is tabulated.
DISTANCES = np.linspace(0, 1, 101)


class PointProbability:
    """Probability of a landslide at the pixels of a scene.

    Args:
        grid: The scene's pixel grid.
        points: (n, 2) x and y in the scene's CRS.
        lengths: (n,) lengths of the landslides, m.
        length_to_width: Of every landslide.
        geodesy: Metres of the CRS.
    """

    def __init__(
        self, grid: Grid, points: np.ndarray, lengths: np.ndarray, length_to_width: float, geodesy: Geodesy
    ) -> None:
        self._grid, self._lengths = grid, lengths
        self._to_metres = geodesy.to_metres
        self._points = points
        self._pixels = np.stack(~grid.transform @ tuple(points.T), axis=1) if len(points) else np.empty((0, 2))
        a, b, _, d, e, _ = tuple(grid.transform)[:6]
        in_metres = self._to_metres @ np.array([[a, b], [d, e]])
        # The farthest pixel, along a row or column, of a disc of radius 1 m: axes need not be orthogonal in metres.
        self._reach = lengths * np.linalg.norm(np.linalg.inv(in_metres), axis=1).max()
        self._table = set_covariance(length_to_width)

    def rows(self, top: int, rows: int) -> np.ndarray:
        """Probabilities of some rows from row `top` on: (rows, width) float32, 0 beyond every landslide's length."""
        without = np.ones((rows, self._grid.width), np.float32)
        for point, pixel, length, reach in zip(self._points, self._pixels, self._lengths, self._reach, strict=True):
            first, last = max(int(pixel[1] - reach) - top, 0), min(int(pixel[1] + reach) + 2 - top, rows)
            left, right = max(int(pixel[0] - reach), 0), min(int(pixel[0] + reach) + 2, self._grid.width)
            if first >= last or left >= right:
                continue
            columns, lines = np.meshgrid(np.arange(left, right) + 0.5, np.arange(first, last) + top + 0.5)
            x, y = self._grid.transform @ (columns, lines)
            (xx, xy), (yx, yy) = self._to_metres
            dx, dy = x - point[0], y - point[1]
            distance = np.hypot(xx * dx + xy * dy, yx * dx + yy * dy)
            own = np.interp(distance / length, DISTANCES, self._table, right=0)
            without[first:last, left:right] *= 1 - own.astype(np.float32)
        return 1 - without


def read_point_probability(layer: Path, grid: Grid, settings: LabelSettings) -> PointProbability | None:
    """Read a scene's landslides from a layer of points with sizes; None if the labels are of another kind.

    Args:
        layer: The label layer of the scene.
        grid: The scene's pixel grid.
        settings: Column and kind of the sizes.

    Raises:
        InputError: The layer cannot be read, or has no such column.
    """
    if settings.size_column is None or label_kind(layer) != "layer" or read_label_layer(layer) is not None:
        return None
    found = features_near(layer, CRS.from_wkt(grid.crs), grid.transform, grid.height, grid.width, settings)
    assert found.geodesy is not None  # a column of sizes has a size
    # A multipoint does not say which of its points has the size.
    single = shapely.get_num_coordinates(found.features) == 1
    known = np.where(single, distances(found.features, found.lengths, settings).length, np.nan)
    if np.isnan(known).any():
        log.warning(
            "%s: %d of %d features near the scene '%s' are not single points with a size; its label map uses the "
            "labels of tiles alone", layer, int(np.isnan(known).sum()), len(known), grid.scene,
        )  # fmt: skip
        return None
    points, owners = shapely.get_coordinates(found.features, return_index=True)
    return PointProbability(grid, points, known[owners], settings.ellipse_ratio, found.geodesy)


@lru_cache(maxsize=4)
def set_covariance(length_to_width: float) -> np.ndarray:
    """Tabulate the share of an ellipse of length 1 that overlaps itself shifted by `DISTANCES`, mean over directions.

    Stretched to a disc of radius 1, the ellipse is shifted by t, and two such discs share
    (2 arccos(t/2) - t/2 sqrt(4 - t^2)) / pi of their area.
    """
    angles = (np.arange(DIRECTIONS) + 0.5) * np.pi / DIRECTIONS
    stretch = 2 * np.hypot(np.cos(angles), length_to_width * np.sin(angles))
    shift = np.minimum(DISTANCES[:, None] * stretch, 2)
    shared = (2 * np.arccos(shift / 2) - shift / 2 * np.sqrt(4 - shift**2)) / np.pi
    return np.asarray(shared.mean(axis=1))
