"""Show the same tiles for every localization method, as in the paper's Figs. 2 and 3: one row per tile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apsam.errors import InputError
from apsam.experiments.table import PART, Column, Experiment
from apsam.experiments.table1 import METHOD_NAMES
from apsam.figures import STYLE, empty_figure, picture_grid, save_figure
from apsam.maps.tiles import MapTiles
from apsam.metrics.counts import Counts
from apsam.metrics.scene import LEAST_COVER, MeasuredScene, TileReferenceMasks
from apsam.protocol import HELD_OUT
from apsam.report.colours import PALETTE, compare, rgb
from apsam.stack import TileStack

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Kind of mask -> title, and the part whose tiles are shown.
KINDS = {
    "masks": ("Pseudo-masks of the methods", "train"),
    "maps": ("Extraction results: ResUNets trained on the methods' pseudo-masks", "test"),
}
# APSAM's masks, prompted by the method after the colon.
FED = "apsam:"
ROWS, INCH = 6, 1.0
NOTHING = "no tile shows enough of a landslide"
# In larger runs, every n-th tile is used.
CANDIDATES = 2000


@dataclass(frozen=True)
class SideBySide:
    """One tile.

    Attributes:
        image: (size, size, 3) uint8.
        reference: (size, size) uint8 {0, 1, 255}.
        masks: Method -> its mask, of the same form.
    """

    image: np.ndarray
    reference: np.ndarray
    masks: Mapping[str, np.ndarray]


def compare_methods(
    kind: str, scenes: Sequence[MeasuredScene], files: Mapping[str, Sequence[Path]], protocol: str = HELD_OUT
) -> tuple[Experiment, list[SideBySide]]:
    """Select tiles at even steps between the worst and the best, by the mean IoU of all methods, and read them.

    Args:
        kind: `masks` (pseudo-masks; of training tiles where these have a reference mask) or `maps` (of held-out tiles).
        scenes: Scenes with a reference mask.
        files: Method, or `apsam:` and the method of its prompts -> mask stack, or map, of every scene.
        protocol: Stored in the table.

    Raises:
        InputError: A file is of another scene, or the reference mask cannot be read.
    """
    title, preferred = KINDS[kind]
    found = [row for index in range(len(scenes)) for row in _candidates(kind, index, scenes, files)]
    wanted = [row for row in found if row["part"] == preferred] or found
    wanted.sort(key=lambda row: (np.mean([row[method] for method in files]), row["scene"], row["tile"]))
    rows = [wanted[i] for i in np.linspace(0, len(wanted) - 1, min(ROWS, len(wanted))).round().astype(int)]
    tiles = []
    for row in rows:
        with _Scene(kind, row["index"], scenes, files) as scene:
            tiles.append(scene.side_by_side(row["tile"]))
    columns = (
        Column("scene", "Scene"),
        Column("tile", "Tile"),
        PART,
        *(Column(method, f"{column_name(method)}: IoU", "share") for method in files),
    )
    notes = [
        f"{len(rows)} of {len(wanted)} tiles with a landslide, at even steps of their rank by the mean IoU of all "
        "methods: neither the prettiest ones nor those that suit one of them. One seed.",
        "White: found. Orange: not a landslide in the reference mask. Blue: missed. Grey: not known.",
    ]
    experiment = Experiment(f"table1_{kind}", f"{title} (paper, Figs. 2 and 3)", protocol, columns, rows, notes)
    return experiment, tiles


def column_name(method: str) -> str:
    """Return a method's name for a figure's column."""
    if not method.startswith(FED):
        return METHOD_NAMES[method]
    feeds = method.removeprefix(FED)
    return METHOD_NAMES["apsam"] if feeds == "cam" else f"{METHOD_NAMES['apsam']} ({METHOD_NAMES[feeds]})"


class _Scene:
    """One scene's tiles, with their reference mask and the masks of every method."""

    def __init__(
        self, kind: str, index: int, scenes: Sequence[MeasuredScene], files: Mapping[str, Sequence[Path]]
    ) -> None:
        self._kind, self.index, self.measured = kind, index, scenes[index]
        self._paths = {method: paths[index] for method, paths in files.items()}

    def __enter__(self) -> _Scene:
        with ExitStack() as opened:
            self.reference = opened.enter_context(TileReferenceMasks(self.measured))
            self._tiles = opened.enter_context(TileStack(self.measured.tiles))
            self._found: dict[str, TileStack | MapTiles] = {}
            for method, path in self._paths.items():
                self._found[method] = self._open(path)
                opened.enter_context(self._found[method])
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def _open(self, path: Path) -> TileStack | MapTiles:
        if self._kind == "maps":
            return MapTiles(path, self.reference.window, self.reference.names, self.reference.size)
        stack = TileStack(path)
        if len(stack) != len(self.reference.window):
            stack.close()
            raise InputError(f"{path}: its masks are not of the tiles of {self.measured.tiles}; make them again")
        return stack

    def masks(self, tile: int) -> dict[str, np.ndarray]:
        return {
            method: found.tile(tile) if isinstance(found, MapTiles) else found.read("mask", tile, tile + 1)[0]
            for method, found in self._found.items()
        }

    def side_by_side(self, tile: int) -> SideBySide:
        image = self._tiles.read("image", tile, tile + 1)[0].transpose(1, 2, 0)
        return SideBySide(image, self.reference.tile(tile), self.masks(tile))


def _candidates(
    kind: str, index: int, scenes: Sequence[MeasuredScene], files: Mapping[str, Sequence[Path]]
) -> Iterator[dict[str, Any]]:
    """Return a row for each tile of a scene that shows a landslide."""
    with _Scene(kind, index, scenes, files) as scene:
        positive = [
            tile for tile, label in enumerate(scene.reference.label) if label and scene.reference.part_name(tile)
        ]
        for tile in positive[:: max(1, -(-len(positive) * len(scenes) // CANDIDATES))]:
            reference = scene.reference.tile(tile)
            if np.count_nonzero(reference == 1) < LEAST_COVER * reference.size:
                continue
            agreement = {method: Counts.of(mask, reference).iou or 0.0 for method, mask in scene.masks(tile).items()}
            part, name = scene.reference.part_name(tile), scene.measured.scene.name
            yield {"index": index, "scene": name, "tile": tile, "part": part, **agreement}


def draw_side_by_side(tiles: Sequence[SideBySide], methods: Sequence[str], output: Path) -> None:
    """Draw image, reference mask, then one column per method: white correct, orange false, blue missed.

    Args:
        tiles: The rows, with at least one method each; without tiles, the figure states this.
        methods: Columns, in this order.
        output: The JSON file of the experiment.
    """
    from matplotlib import rc_context

    with rc_context(STYLE):
        save_figure(_figure(tiles, methods) if tiles else empty_figure(NOTHING), output)


def _figure(tiles: Sequence[SideBySide], methods: Sequence[str]) -> Figure:
    names = [
        "Image",
        "Reference\nmask",
        *(column_name(method).replace(", ", ",\n").replace(" (", "\n(") for method in methods),
    ]
    figure, axes = picture_grid(len(tiles), names, INCH, lines=2)
    palette = np.array([rgb(colour) for colour in PALETTE], np.uint8)
    for row, tile in zip(axes, tiles, strict=True):
        shown = [
            tile.image,
            palette[compare(tile.reference, None)],
            *(palette[compare(tile.masks[method], tile.reference)] for method in methods),
        ]
        for axis, pixels in zip(row, shown, strict=True):
            axis.imshow(pixels, interpolation="nearest")
    return figure
