"""The embedding store: written once per scene and SAM, read by all later stages."""

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
    """Embeddings of n tiles; several tiles may be in one encoded window.

    Attributes:
        values: (m, D, E, E), embeddings of the encoded images.
        row: (n,) int, index of each tile's embedding in `values`.
        corners: (n, 2) int, x and y of each tile's top-left pixel in the encoded image; None: tiles were encoded.
        frame: Height and width of the encoded images, pixels; None: those of a tile.
    """

    values: np.ndarray
    row: np.ndarray
    corners: np.ndarray | None = None
    frame: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.row)


def of_tiles(values: np.ndarray | Embeddings) -> Embeddings:
    """Wrap embeddings (n, D, E, E) of n encoded tiles as `Embeddings`."""
    return values if isinstance(values, Embeddings) else Embeddings(values, np.arange(len(values)))


class EmbeddingStore:
    """Read the embedding stack of a scene.

    Arrays of the stack, if tiles are encoded: `embedding` (m, D, E, E) float16, `tile` (m,) int32, index in the
    tile stack. If windows are (`sam.window`), for each of them: `embedding`; `window` (m, 4), row, col, height and
    width in the scene's pixels; `served` (m,), the number of its tiles; `tile` (m, T) and `corner` (m, T, 2), of which
    the first `served` are used: indices of the tiles, and x and y of their top-left pixels in the window.

    Args:
        path: Written by `apsam.sam.encode_scene.encode_scene`.
        sam: The SAM that will decode prompts.

    Raises:
        InputError: Not an embedding stack, or one of another SAM.
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
        """Return the tiles that have an embedding, by index in the tile stack, ascending."""
        return sorted(self._rows)

    def read(self, tiles: Sequence[int]) -> Embeddings:
        """Read embeddings of `tiles`, in that order.

        Raises:
            InputError: A tile has no embedding.
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
