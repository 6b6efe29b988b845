"""Large scenes are processed in blocks: even ranges of their tiles, in the order in which tiles are cut.

A scene of at most `tiles.block_tiles` candidate tiles is one block with the scene's name; for a larger one, every
stage up to the pseudo-masks makes one file per block, `valley.b001`, `valley.b002`, ..., and a small file `valley` that
names them (`apsam.stack.join_stacks`). Their number is computed from the size in the raster's header alone.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from apsam.tiles.windows import positions

# Suffix of a scene's name in the name of one of its blocks.
BLOCK_ENDING = re.compile(r"\.b(\d{3,})$")


class Block(NamedTuple):
    """One of several blocks of a scene.

    Attributes:
        number: From 1.
        count: Number of blocks of the scene.
    """

    number: int
    count: int  # type: ignore[assignment]  # hides the method of tuples, which nobody needs here

    def range(self, length: int) -> slice:
        """Return the range of this block among `length` items; sizes of ranges differ by one at most."""
        return slice(length * (self.number - 1) // self.count, length * self.number // self.count)


WHOLE = Block(1, 1)


def block_count(things: int, most: int) -> int:
    """Return how many blocks of at most `most` items are needed."""
    return max(1, -(-things // most))


def window_count(height: int, width: int, size: int, stride: int) -> int:
    """Return the number of windows of a scene (`apsam.tiles.windows.tile_windows`), without making them."""
    return len(positions(height, size, stride)) * len(positions(width, size, stride))


def block_names(scene: str, count: int) -> list[str]:
    """Return the names of a scene's blocks; the scene's name if there is one block."""
    return [scene] if count == 1 else [f"{scene}.b{number:03d}" for number in range(1, count + 1)]


def block_of(name: str) -> tuple[str, int]:
    """Split a block's name into scene and number; (name, 1) for a whole scene."""
    found = BLOCK_ENDING.search(name)
    return (name[: found.start()], int(found[1])) if found else (name, 1)
