"""Exclude ground that is known to be free of landslides from masks and heat maps of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from apsam.ground.labels import ALL_LABELS, FREE, common_grid
from apsam.ground.raster import GridReader
from apsam.stack import TileStack


class GroundGate:
    """Where the tiles of a scene may show a landslide.

    Args:
        tiles: Tile stack of a scene, or of one of its blocks.
        labels: Label map of the whole scene's ground (`apsam.ground.labels.make_ground_labels`), so that negative
            tiles of other blocks count too; None: every pixel may be landslide.

    Raises:
        InputError: The label map belongs to another scene, or the tiles are ready-made ones.
    """

    def __init__(self, tiles: Path, labels: Path | None) -> None:
        with TileStack(tiles) as stack:
            self._windows = stack.read("window")
            self._shape = stack.arrays["valid"][0]
        self._labels = None if labels is None else GridReader(labels, common_grid([tiles]))

    def __enter__(self) -> GroundGate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._labels is not None:
            self._labels.close()

    def possible(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n, height, width) bool of some tiles: False where a tile labelled negative covers the ground."""
        allowed = np.ones((len(indices), *self._shape), bool)
        if self._labels is not None:
            for target, window in zip(allowed, self._windows[np.asarray(indices, int)].tolist(), strict=True):
                target[:] = self._labels.read(*window, band=ALL_LABELS) != FREE
        return allowed
