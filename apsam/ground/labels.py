"""What image-level labels say of the ground: free of landslides wherever a tile labelled negative covers it.

Tiles overlap, so a pixel is seen by several of them. One negative tile is enough to know that it shows no landslide;
where all labelled tiles that cover it are positive, it may show one. No network is involved.

Where the labels come from points with sizes, more is known: the probability of a landslide at every pixel, which is 0
beyond the length of every landslide (`apsam.ground.points`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from apsam.errors import InputError
from apsam.ground.raster import Grid, GridReader, GridWriter, row_bands
from apsam.stack import TileStack
from apsam.tiles.labels import tile_name
from apsam.tiles.parts import SHARED, TEST, TRAIN
from apsam.tiles.settings import LabelSettings

if TYPE_CHECKING:
    from apsam.ground.points import PointProbability

# Values of a ground label map.
FREE, POSSIBLE, UNKNOWN = 0, 1, 255

# Bands of the file: labels of all tiles, for masks that are measured; labels of training tiles alone, to train on.
# A third band, probabilities to train on in steps of 1 / CERTAIN, where labels come from points with sizes.
ALL_LABELS, TRAINING_LABELS, PROBABILITY = 1, 2, 3
_BANDS = {ALL_LABELS: (TRAIN, TEST), TRAINING_LABELS: (TRAIN,)}
_NAMES = ("all labels", "labels of training tiles", "probability of a landslide x 250")
CERTAIN = 250


def make_ground_labels(
    tiles: Sequence[Path],
    output: Path,
    left_out: Mapping[str, Collection[str]] | None = None,
    layer: Path | None = None,
) -> None:
    """Write the label map of a scene's ground, a GeoTIFF of two or three bands.

    Values: 0 where a tile labelled negative covers the pixel, 1 where labelled tiles do and all of them are positive,
    255 where no labelled tile covers it or the scene has no data. Band 1 uses the labels of training and test tiles,
    band 2 those of training tiles alone. Tiles of neither part (nobody looked, or between two parts) say nothing.
    In memory are the tiles' windows and one band of rows.

    Of a scene whose layer has points with sizes, bands 1 and 2 are 0 beyond the length of every landslide and 1
    elsewhere, and band 3 is the probability of a landslide, 0 to 250 (`CERTAIN`). Bands 2 and 3 are 255 where a test
    tile covers the pixel, or a tile that shares ground with a held-out scene.

    Args:
        tiles: Tile stack of the scene, or the stacks of its blocks.
        output: GeoTIFF to make, on the scene's grid.
        left_out: Scene -> names of tiles (`apsam.tiles.labels.tile_name`) whose label is not used.
        layer: Layer that the labels of the tiles were made from, if they were.

    Raises:
        InputError: The tiles are ready-made ones, or of different scenes; the layer cannot be read.
    """
    grid = common_grid(tiles)
    unused = frozenset((left_out or {}).get(grid.scene, ()))
    points = None
    if layer is not None:
        # Imported here, because every stage that reads a label map imports this module, and few read a layer.
        from apsam.ground.points import read_point_probability

        with TileStack(tiles[0]) as stack:
            if SHARED not in stack.arrays:
                raise InputError(
                    f"{tiles[0]}: does not say which tiles share ground with held-out scenes; tile it again"
                )
            settings = LabelSettings(**stack.attributes["made_by"]["labels"])
        points = read_point_probability(layer, grid, settings)
    names = _NAMES if points is not None else _NAMES[:-1]
    with ExitStack() as opened:
        stacks = [_LabelledStack(opened.enter_context(TileStack(path))) for path in tiles]
        writer = opened.enter_context(GridWriter(output, grid, names, "uint8", UNKNOWN, {}))
        for top, rows in row_bands(grid.height):
            if points is None:
                values = _values_of_tiles(stacks, top, rows, grid.width, unused)
            else:
                values = _values_of_points(points, stacks, top, rows, grid.width)
            writer.write(top, values)


def has_probability(labels: GridReader) -> bool:
    """Whether a label map has the band `PROBABILITY`."""
    return labels.count >= PROBABILITY


def _values_of_tiles(
    stacks: Sequence[_LabelledStack], top: int, rows: int, width: int, unused: Collection[str]
) -> np.ndarray:
    """Bands 1 and 2 of some rows, (2, rows, width) uint8, from the labels of tiles."""
    free = np.zeros((len(_BANDS), rows, width), bool)
    covered = np.zeros_like(free)
    for tile in _tiles_at(stacks, top, rows, unused):
        own, seen = clip_rows(tile.window, tile.valid, top, rows, width)
        for index, parts in enumerate(_BANDS.values()):
            if tile.part in parts and tile.label in (FREE, POSSIBLE):
                covered[index][own] |= seen > 0
                if tile.label == FREE:
                    free[index][own] |= seen > 0
    return np.where(free, FREE, np.where(covered, POSSIBLE, UNKNOWN)).astype(np.uint8)


def _values_of_points(
    points: PointProbability, stacks: Sequence[_LabelledStack], top: int, rows: int, width: int
) -> np.ndarray:
    """All bands of some rows, (3, rows, width) uint8, from the probability around points."""
    known, held_out = np.zeros((rows, width), bool), np.zeros((rows, width), bool)
    for tile in _tiles_at(stacks, top, rows, ()):
        own, seen = clip_rows(tile.window, tile.valid, top, rows, width)
        known[own] |= seen > 0
        if tile.part == TEST or tile.shared:
            held_out[own] |= seen > 0
    probability = points.rows(top, rows)
    possible = np.where(probability > 0, POSSIBLE, FREE)
    steps = np.rint(probability * CERTAIN)
    values = np.stack([possible, possible, steps]).astype(np.uint8)
    values[:, ~known] = UNKNOWN
    values[1:, held_out] = UNKNOWN
    return values


def common_grid(tiles: Sequence[Path]) -> Grid:
    """The grid of some stacks of one scene.

    Raises:
        InputError: They are of different scenes, or there is none.
    """
    grids = [Grid.of_tiles(path) for path in tiles]
    if not grids:
        raise InputError("no tile stack was given; give that of the scene, or those of its blocks")
    other = next((grid for grid in grids if grid != grids[0]), None)
    if other is not None:
        raise InputError(f"tile stacks of different scenes, '{grids[0].scene}' and '{other.scene}'; give one scene's")
    return grids[0]


def clip_rows(
    window: Sequence[int], values: np.ndarray, top: int, rows: int, scene_width: int
) -> tuple[tuple[slice, slice], np.ndarray]:
    """The share of a window's values (height, width) in a band of rows: its place in the band, and the values there."""
    row, col, height, width = window
    first, last = max(row, top), min(row + height, top + rows)
    right = min(col + width, scene_width)
    return (slice(first - top, last - top), slice(col, right)), values[first - row : last - row, : right - col]


class _LabelledStack:
    """A tile stack, with what is known of each tile; only the valid pixels are read later.

    Args:
        stack: The open stack.
    """

    def __init__(self, stack: TileStack) -> None:
        self.stack = stack
        self.windows, self.labels, self.parts = (stack.read(name) for name in ("window", "label", "part"))
        self.shared = stack.read(SHARED) if SHARED in stack.arrays else np.zeros(len(stack), bool)


class _Tile(NamedTuple):
    """Window, valid pixels (height, width), label, part, and whether it shares ground with a held-out scene."""

    window: list[int]
    valid: np.ndarray
    label: int
    part: int
    shared: bool


def _tiles_at(stacks: Sequence[_LabelledStack], top: int, rows: int, unused: Collection[str]) -> Iterator[_Tile]:
    """Yield the tiles that reach into some rows, without those of unused names."""
    for one in stacks:
        for index in tiles_in_rows(one.windows, top, rows):
            window = one.windows[index].tolist()
            if unused and tile_name(*window[:2]) in unused:
                continue
            valid = one.stack.read_at("valid", [index])[0]
            yield _Tile(window, valid, int(one.labels[index]), int(one.parts[index]), bool(one.shared[index]))


def tiles_in_rows(windows: np.ndarray, top: int, rows: int) -> np.ndarray:
    """Indices of the windows (n, 4) that reach into `rows` rows from `top` on."""
    return np.flatnonzero((windows[:, 0] < top + rows) & (windows[:, 0] + windows[:, 2] > top))
