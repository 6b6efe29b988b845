"""The embedding store: written once for a scene and a SAM, asked by everything later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from apsam.errors import InputError
from apsam.sam.model import LoadedSam
from apsam.stack import TileStack


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of n tiles; several tiles may lie in one encoded window.

    Attributes:
        values: (m, D, E, E), what was encoded.
        row: (n,) int, which of `values` each tile lies in.
        corners: (n, 2) int, x and y of each tile's top-left pixel in what was encoded; None: they are what was encoded.
        frame: Height and width of what was encoded, pixels; None: those of a tile.
    """

    values: np.ndarray
    row: np.ndarray
    corners: np.ndarray | None = None
    frame: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.row)


def of_tiles(values: np.ndarray | Embeddings) -> Embeddings:
    """Embeddings (n, D, E, E) of n encoded tiles as `Embeddings`."""
    return values if isinstance(values, Embeddings) else Embeddings(values, np.arange(len(values)))


class EmbeddingStore:
    """Read the embedding stack of a scene.

    Arrays of the stack, where tiles are encoded: `embedding` (m, D, E, E) float16, `tile` (m,) int32, index in the
    tile stack. Where windows are (`sam.window`), for each of them: `embedding`; `window` (m, 4), row, col, height and
    width in the scene's pixels; `served` (m,), how many tiles it serves; `tile` (m, T) and `corner` (m, T, 2), of which
    the first `served` count: their indices, and x and y of their top-left pixels in the window.

    Args:
        path: Written by `apsam.sam.encode_scene.encode_scene`.
        sam: The SAM that will be asked.

    Raises:
        InputError: No embedding stack, or one of another SAM.
    """

    def __init__(self, path: Path, sam: LoadedSam | None = None) -> None:
        self.path = path
        self._stack = TileStack(path)
        made_with = self._stack.attributes["checkpoint_hash"]
        if sam is not None and made_with != sam.checkpoint_hash:
            self.close()
            raise InputError(
                f"{path}: made with SAM '{self._stack.attributes['sam']}' {made_with[:8]}, the masks are "
                f"asked of '{sam.name}' {sam.checkpoint_hash[:8]}; encode again with this SAM"
            )
        tile = self._stack.read("tile")
        self._corners: dict[int, tuple[int, int]] | None = None
        self._frame: tuple[int, int] | None = None
        if "served" in self._stack.arrays:
            height, width = self._stack.attributes["window_size"]
            self._frame = int(height), int(width)
            self._rows, self._corners = {}, {}
            for row, (count, corner) in enumerate(
                zip(self._stack.read("served").tolist(), self._stack.read("corner").tolist(), strict=True)
            ):
                self._rows.update(dict.fromkeys(tile[row, :count].tolist(), row))
                self._corners.update(zip(tile[row, :count].tolist(), corner[:count], strict=True))
        else:
            self._rows = {number: row for row, number in enumerate(tile.tolist())}

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    @property
    def tiles(self) -> list[int]:
        """The tiles that can be asked about, by index in the tile stack, ascending."""
        return sorted(self._rows)

    def read(self, tiles: Sequence[int]) -> Embeddings:
        """Embeddings of `tiles`, in that order.

        Raises:
            InputError: A tile has none.
        """
        self.check(tiles)
        rows, row = np.unique([self._rows[tile] for tile in tiles], return_inverse=True)
        corners = None if self._corners is None else np.array([self._corners[tile] for tile in tiles]).reshape(-1, 2)
        return Embeddings(self._stack.read_at("embedding", rows.astype(int)), row, corners, self._frame)

    def check(self, tiles: Sequence[int]) -> None:
        """Raise InputError unless all `tiles` have an embedding."""
        missing = [tile for tile in tiles if tile not in self._rows]
        if missing:
            raise InputError(f"{self.path}: no embedding of tile {missing[0]} ({len(missing)} in all); encode again")
