"""Exclude ground that is known to be free of landslides from masks and heat maps of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from apsam.errors import InputError
from apsam.ground.labels import ALL_LABELS, FREE
from apsam.ground.raster import Grid, GridReader
from apsam.stack import TileStack


class GroundGate:
    """Where the tiles of a scene may show a landslide.

    Args:
        tiles: Tile stack of a scene, or of one of its blocks.
        labels: Label map of the whole scene's ground (`apsam.ground.labels`), so that negative tiles of other blocks
            count too; for ready-made tiles what `apsam.ground.ready_made` wrote; None: every pixel may be landslide.

    Raises:
        InputError: The label map belongs to another scene.
    """

    def __init__(self, tiles: Path, labels: Path | None) -> None:
        self._labels: GridReader | None = None
        self._stack: TileStack | None = None
        if labels is None:
            return
        with TileStack(tiles) as stack:
            self._windows, self._shape = stack.read("window"), stack.arrays["valid"][0]
            names = stack.attributes["names"]
        if names is None:
            self._labels = GridReader(labels, Grid.of_tiles(tiles))
        else:
            self._stack = TileStack(labels)
            self._rows = self._rows_of(names, labels, tiles)

    def __enter__(self) -> GroundGate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in (self._labels, self._stack):
            if opened is not None:
                opened.close()

    def _rows_of(self, names: Sequence[str], labels: Path, tiles: Path) -> np.ndarray:
        """Rows of the label map's stack, which is of the whole folder, for the tiles of a block."""
        assert self._stack is not None
        rows = {name: row for row, name in enumerate(self._stack.attributes["names"])}
        missing = next((name for name in names if name not in rows), None)
        if missing is not None:
            self._stack.close()
            raise InputError(f"{labels}: has no tile '{missing}' of {tiles}; make it again")
        return np.array([rows[name] for name in names], int)

    def of(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n, height, width) bool of tiles by index: False where a tile labelled negative covers the ground.

        Without a label map (n, 1, 1), True.
        """
        if self._stack is not None:
            return self._stack.read_at("ground", self._rows[np.asarray(indices, int)]) != FREE
        if self._labels is None:
            return np.ones((len(indices), 1, 1), bool)
        allowed = np.ones((len(indices), *self._shape), bool)
        for target, window in zip(allowed, self._windows[np.asarray(indices, int)].tolist(), strict=True):
            target[:] = self._labels.read(*window, band=ALL_LABELS) != FREE
        return allowed
