"""Stacks of pseudo-masks, with the same format for all methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from apsam.errors import InputError
from apsam.ground.gate import GroundGate
from apsam.progress import track
from apsam.stack import TileStack, TileStackWriter

BATCH = 64
NO_DATA = 255


def write_masks(
    tiles: Path,
    output: Path,
    source: str,
    made_by: dict[str, Any],
    masks_of: Callable[[int, int], np.ndarray],
    ground: Path | None = None,
) -> None:
    """Write a mask stack with the tile axis of `tiles`.

    Args:
        tiles: Tile stack of the scene.
        output: The mask stack: `mask` (n, size, size) uint8 {0, 1}, 255 where the tile is not valid.
        source: Where the masks come from: `cam`, `grabcut`, `box`, ...
        made_by: Settings, stored with the stack.
        masks_of: Returns masks {0, 1}, 255 unknown, of the tiles from `start` to `stop`, (stop - start, size, size).
        ground: Label map of the scene: masks are 0 at pixels in a tile labelled negative. None: only the
            tile's own label is used.
    """
    with TileStack(tiles) as stack, GroundGate(tiles, ground) as possible:
        size, scene = stack.attributes["tile_size"], stack.attributes["scene"]
        attributes = {"scene": scene, "source": source, "made_by": made_by}
        with TileStackWriter(output, attributes, {"mask": ((size, size), "uint8")}) as writer:
            for start in track(range(0, len(stack), BATCH), f"{source} masks of {scene}"):
                stop = min(start + BATCH, len(stack))
                valid = stack.read("valid", start, stop)
                masks = masks_of(start, stop) * possible.of(range(start, stop))
                writer.append(mask=np.where(valid > 0, masks, NO_DATA).astype(np.uint8))


@contextmanager
def same_tiles(tiles: Path, other: Path) -> Iterator[TileStack]:
    """Open `other`, a stack that must have the tile axis of `tiles`.

    Raises:
        InputError: It belongs to other tiles.
    """
    with TileStack(tiles) as stack:
        expected, scene = len(stack), stack.attributes["scene"]
    with TileStack(other) as stack:
        if len(stack) != expected or stack.attributes["scene"] != scene:
            raise InputError(
                f"{other}: has {len(stack)} tiles of '{stack.attributes['scene']}', {tiles} has {expected} of "
                f"'{scene}'; they come from different runs: remove {other} and run again"
            )
        yield stack
