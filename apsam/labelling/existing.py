"""Label tiles from existing labels, and find the doubtful tiles that a person should look at.

A point marks a landslide but not its extent, so it makes its own tile positive, its surroundings doubtful
and no tile negative. Outlines have a limited accuracy, so a tile that an outline only just touches, or only just
misses, is doubtful.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from affine import Affine
from rasterio.features import rasterize
from shapely.strtree import STRtree

from apsam.errors import InputError
from apsam.labelling.scene_tiles import SceneTiles, metres_on_the_map
from apsam.labelling.tables import find_grid_layer, read_table
from apsam.scenes import TILE_SUFFIXES
from apsam.tiles.feature_classes import check_classes
from apsam.tiles.labels import UNLABELLED
from apsam.tiles.outlines import outlines
from apsam.tiles.scene_labels import closed_lines_as_areas
from apsam.tiles.sources import label_kind
from apsam.vectors.layers import split_layer
from apsam.vectors.place import read_placed

log = logging.getLogger(__name__)

# Default accuracy of outlines, as a share of a tile's side: 8 m for 256 px of 0.5 m.
ACCURACY = 1 / 16

LEFT_OUT = "too little data, the run leaves it out"


@dataclass(frozen=True)
class ExistingRules:
    """Rules for labelling tiles by a layer of landslides.

    Attributes:
        complete: The layer has every landslide of the scene, so tiles far from all outlines are negative.
        reach_m: No landslide extends farther than this from its point; None: unknown, and points make no
            tile negative.
        accuracy_m: Maximum position error of outlines and points; None: a sixteenth of a tile's side.
    """

    complete: bool = True
    reach_m: float | None = None
    accuracy_m: float | None = None


@dataclass
class ExistingLabels:
    """Labels of every tile, with the reasons for empty ones.

    Attributes:
        label: (n,) uint8 {0, 1, 255}.
        reason: (n,) int, index into `reasons`; 0 without a reason.
        reasons: Reasons why tiles are empty; the first is "".
        doubtful: (n,) bool, empty tiles that a person should look at first.
        source: The file of the labels.
        shapes: Points, lines and polygons of the file, in pixels of the scene; none for a table.
    """

    label: np.ndarray
    reason: np.ndarray
    doubtful: np.ndarray
    source: str = ""
    reasons: list[str] = field(default_factory=lambda: [""])
    shapes: Sequence[shapely.Geometry] = ()

    @classmethod
    def nothing(cls, count: int) -> ExistingLabels:
        """Return empty labels."""
        return cls(np.full(count, UNLABELLED, np.uint8), np.zeros(count, int), np.zeros(count, bool))

    def leave(self, which: np.ndarray, why: str, doubtful: bool = True) -> None:
        """Leave the tiles `which` (n,) bool empty, with a reason."""
        if why not in self.reasons:
            self.reasons.append(why)
        self.label[which] = UNLABELLED
        self.reason[which] = self.reasons.index(why)
        self.doubtful[which] = doubtful

    def why(self) -> list[str]:
        """Return the reason of every tile, empty if it has a label."""
        return [self.reasons[number] for number in self.reason]

    def summary(self, counted: np.ndarray) -> list[str]:
        """Return lines for the user: the number of tiles of each kind, of those that the run keeps."""
        label, reason = self.label[counted], self.reason[counted]
        lines = [
            f"{np.count_nonzero(label == 1)} tiles labelled positive, {np.count_nonzero(label == 0)} negative, "
            f"{np.count_nonzero(label == UNLABELLED)} left empty"
        ]
        for number, why in enumerate(self.reasons[1:], 1):
            count = np.count_nonzero((reason == number) & (label == UNLABELLED))
            if count:
                lines.append(f"  {count} empty: {why}")
        return lines


def read_existing(path: Path, tiles: SceneTiles, rules: ExistingRules | None = None) -> ExistingLabels:
    """Read labels of a scene's tiles from a file.

    Args:
        path: A label table, a labelled grid, or a vector layer of points, lines or polygons.
        tiles: Of the scene; their valid shares must be set.
        rules: Rules for a layer of landslides.

    Raises:
        InputError: The file cannot be read, or is of other tiles.
    """
    file, _ = split_layer(path)
    if not file.exists():
        raise InputError(f"{file}: no such label file")
    if file.suffix.lower() in TILE_SUFFIXES:
        raise InputError(
            f"{path}: is a raster; labels are filled in from a table, a grid or a layer of points or polygons (a mask "
            f"labels a scene by the word 'mask' in the scene sheet)"
        )
    if label_kind(path) == "table" or find_grid_layer(path) is not None:
        found = _from_table(path, tiles)
    elif not tiles.is_raster:
        raise InputError(f"{path}: a folder of ready-made tiles is labelled by a table, not by a layer")
    else:
        found = _from_layer(path, tiles, rules or ExistingRules())
    found.source = file.name
    return found


def _from_table(path: Path, tiles: SceneTiles) -> ExistingLabels:
    table = read_table(path)
    table.check(tiles.identity, tiles.names)
    found = ExistingLabels.nothing(len(tiles.names))
    found.label = np.array([table.labels.get(name, UNLABELLED) for name in tiles.names], np.uint8)
    empty = found.label == UNLABELLED
    found.leave(empty, f"no label in {path.name}", doubtful=False)
    doubtful = np.array([name in table.doubtful for name in tiles.names])
    found.leave(empty & doubtful, f"doubtful in {path.name}")
    return found


def _from_layer(path: Path, tiles: SceneTiles, rules: ExistingRules) -> ExistingLabels:
    assert tiles.crs is not None and tiles.transform is not None
    check_classes(path)
    to_metres = np.array(metres_on_the_map(tiles.crs, tiles.transform, tiles.height, tiles.width))

    def ground(shapes: np.ndarray) -> np.ndarray:
        return shapely.transform(shapes, lambda units: units * to_metres)

    boxes = ground(outlines(tiles.transform, tiles.windows))
    side = float(np.median(shapely.area(boxes))) ** 0.5
    accuracy = side * ACCURACY if rules.accuracy_m is None else rules.accuracy_m
    reach = rules.reach_m if rules.reach_m is not None else 2 * side
    whole = outlines(tiles.transform, [(0, 0, tiles.height, tiles.width)])[0]
    margin = max(reach, accuracy) / to_metres.min()
    features, _ = read_placed(path, tiles.crs, shapely.box(*whole.bounds).buffer(margin).bounds)
    features = closed_lines_as_areas(path, features)
    if not len(features):
        log.warning("%s: no feature is near the scene %s", path, tiles.image)
    shapes = ground(shapely.get_parts(features))
    is_point = np.isin(shapely.get_type_id(shapes), (0,))
    points, drawn = shapes[is_point], shapes[~is_point]

    inner = shapely.buffer(boxes, -min(accuracy, side / 2.5), join_style="mitre")
    found = ExistingLabels.nothing(len(boxes))
    # In order of increasing priority: a later statement replaces an earlier one.
    if rules.complete and (not len(points) or rules.reach_m is not None):
        found.label[:] = 0
    else:
        why = (
            f"{path.name} has points without the extent of the landslides (--reach)"
            if rules.complete
            else f"no landslide of {path.name}, which may lack some"
        )
        found.leave(np.ones(len(boxes), bool), why, doubtful=False)
    near = _within(boxes, points, reach)
    found.leave(near, f"a point of {path.name} within {reach:.0f} m, the extent of its landslide is not known")
    edge = _within(boxes, drawn, accuracy)
    found.leave(edge, f"the edge of the tile is within {accuracy:.0f} m of the edge of a landslide of {path.name}")
    on_the_edge = _within(boxes, points, accuracy)
    found.leave(on_the_edge, f"a point of {path.name} within {accuracy:.0f} m of the edge of the tile")
    sure = _within(inner, shapes, 0)
    found.label[sure], found.reason[sure], found.doubtful[sure] = 1, 0, False
    # Landslides on pixels without data are not visible in the tile, so a person has to decide.
    hidden = _hidden(tiles, features, sure & (tiles.valid_share < 1))
    found.leave(hidden, "its landslide is on pixels without data")
    found.leave(~tiles.counted, LEFT_OUT, doubtful=False)
    found.shapes = _in_pixels(features, tiles)
    return found


def _within(boxes: np.ndarray, shapes: np.ndarray, distance: float) -> np.ndarray:
    """(n,) bool: boxes within `distance` of a shape; with 0, boxes that touch one."""
    which = np.zeros(len(boxes), bool)
    if len(shapes):
        found = STRtree(shapes).query(boxes, predicate="dwithin", distance=distance)
        which[found[0]] = True
    return which


def _in_pixels(shapes: np.ndarray, tiles: SceneTiles) -> list[shapely.Geometry]:
    """Return shapes that touch the scene, in its pixels, rounded to a pixel."""
    assert tiles.transform is not None
    frame = outlines(tiles.transform, [(0, 0, tiles.height, tiles.width)])[0]
    near = shapes[STRtree(shapes).query(frame, predicate="intersects")]
    a, b, c, d, e, f = tuple(~tiles.transform)[:6]
    pixels = shapely.transform(
        near, lambda xy: np.stack([a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f], axis=1)
    )
    return list(shapely.simplify(pixels, 1.0))


def _hidden(tiles: SceneTiles, shapes: np.ndarray, which: np.ndarray) -> np.ndarray:
    """(n,) bool: of the tiles `which`, those whose landslides are all on pixels without data."""
    assert tiles.transform is not None and tiles.read_valid is not None
    hidden = np.zeros(len(which), bool)
    tree = STRtree(shapes)
    polygons = outlines(tiles.transform, tiles.windows)
    for index in np.flatnonzero(which):
        row, col, height, width = tiles.windows[index].tolist()
        drawn = rasterize(
            shapes[tree.query(polygons[index], predicate="intersects")],
            (height, width),
            transform=tiles.transform @ Affine.translation(col, row),
            all_touched=True,
            dtype="uint8",
        )
        hidden[index] = not (drawn & tiles.read_valid(row, col, height, width)).any()
    return hidden


def as_column(label: np.ndarray) -> pd.arrays.IntegerArray:
    """Convert labels (n,) {0, 1, 255} to a column with empty values."""
    return pd.array([None if value == UNLABELLED else int(value) for value in label], dtype="Int8")
