"""Split of tiles into training and held-out (test) tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.errors import InputError
from apsam.stack import TileStack
from apsam.tiles.settings import SplitSettings, TileSettings
from apsam.tiles.windows import tile_windows

TRAIN, TEST, NEITHER = 0, 1, 255
# Array of a raster's tile stack: 1 for tiles that share ground with a held-out scene.
SHARED = "shared"

# Array of a tile stack: 1 for tiles with a label. Without one, `label` is 0 and the tile is in neither part.
LABELLED = "labelled"


def labelled_tiles(stack: TileStack) -> np.ndarray:
    """Return whether each tile has an image-level label, (n,) bool; `label` is 0 for those without one."""
    if LABELLED in stack.arrays:
        return stack.read(LABELLED) > 0
    # Stacks of earlier versions: a tile that is left out for another reason counts as not labelled.
    return (stack.read("part") != NEITHER) | (stack.read("label") == 1)


def parts_by_blocks(windows: np.ndarray, height: int, width: int, settings: SplitSettings) -> np.ndarray:
    """Divide one scene into blocks and hold out a share of them: at least one, and not all.

    A training tile shares no pixel with a held-out block, and a held-out tile lies entirely in held-out
    blocks; other tiles are in neither part, so no pixel is used for both training and evaluation.

    Args:
        windows: (n, 4) int32 of row, col, height, width.
        height, width: Size of the scene, pixels.
        settings: Block side, share and seed.

    Returns:
        (n,) uint8: 0 train, 1 test, 255 neither.
    """
    rows, cols = _grid(height, width, settings.block)
    row_edges = np.linspace(0, height, rows + 1).round().astype(int)
    col_edges = np.linspace(0, width, cols + 1).round().astype(int)
    rng = np.random.default_rng(settings.seed)
    held_out = np.zeros(rows * cols, bool)
    count = min(rows * cols - 1, max(1, round(rows * cols * settings.test_share)))
    held_out[rng.permutation(rows * cols)[:count]] = True
    parts = np.full(len(windows), NEITHER, np.uint8)
    for index, (row, col, tall, wide) in enumerate(windows.tolist()):
        down, across = _touched(row_edges, row, row + tall), _touched(col_edges, col, col + wide)
        blocks = held_out.reshape(rows, cols)[down, across]
        if not blocks.any():
            parts[index] = TRAIN
        elif blocks.all():
            parts[index] = TEST
    return parts


def _touched(edges: np.ndarray, first: int, stop: int) -> slice:
    """Return which of the blocks between `edges` the pixels from `first` to `stop` (excluded) touch."""
    return slice(int(np.searchsorted(edges, first, side="right")) - 1, int(np.searchsorted(edges, stop)))


def check_blocks(image: Path, height: int, width: int, split: SplitSettings, tiles: TileSettings) -> None:
    """Reject a scene that is no larger than a block, before the run starts.

    Args:
        image: The scene, for the message.
        height, width: Its size, pixels.
        split: Block side, share and seed.
        tiles: Tile size and overlap.

    Raises:
        InputError: The scene would be one block, so there would be no training or no test block.
    """
    if _grid(height, width, split.block) != (1, 1):
        return
    block = max(height, width) * 2 // 3  # the largest size that is not rounded to one block
    windows = tile_windows(height, width, tiles.size, tiles.stride)
    parts = parts_by_blocks(windows, height, width, split.model_copy(update={"block": block}))
    remedy = (
        f"set split.block to {block} or less"
        if {TRAIN, TEST} <= set(parts.tolist())
        else f"it is too small for tiles of {tiles.size} px to be divided: give another scene for the other part"
    )
    raise InputError(
        f"{image}: with split 'blocks' and 'split.block: {split.block}' a scene of {width} x {height} px is one block, "
        f"which cannot be both trained on and held out; {remedy}"
    )


def _grid(height: int, width: int, block: int) -> tuple[int, int]:
    """Return the number of blocks down and across."""
    return max(1, round(height / block)), max(1, round(width / block))
