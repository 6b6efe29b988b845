"""Which tiles train and which are held out for measuring."""

from __future__ import annotations

import numpy as np

from apsam.tiles.settings import SplitSettings

TRAIN, TEST, NEITHER = 0, 1, 255


def parts_by_blocks(windows: np.ndarray, height: int, width: int, settings: SplitSettings) -> np.ndarray:
    """Divide one scene into blocks and hold out a share of them.

    A tile trains only if it shares no pixel with a held-out block, and is held out only if it lies in held-out blocks
    entirely; the others are in neither part, so that no pixel is both trained on and measured on.

    Args:
        windows: (n, 4) int32 of row, col, height, width.
        height, width: Size of the scene, pixels.
        settings: Block side, share and seed.

    Returns:
        (n,) uint8: 0 train, 1 test, 255 neither.
    """
    rows, cols = (max(1, round(side / settings.block)) for side in (height, width))
    row_edges = np.linspace(0, height, rows + 1).round().astype(int)
    col_edges = np.linspace(0, width, cols + 1).round().astype(int)
    rng = np.random.default_rng(settings.seed)
    held_out = np.zeros(rows * cols, bool)
    held_out[rng.permutation(rows * cols)[: max(1, round(rows * cols * settings.test_share))]] = True
    parts = np.full(len(windows), NEITHER, np.uint8)
    for index, (row, col, tall, wide) in enumerate(windows.tolist()):
        shared = 0
        bottom, right = min(row + tall, height), min(col + wide, width)
        for block in np.flatnonzero(held_out):
            i, j = divmod(int(block), cols)
            down = min(bottom, row_edges[i + 1]) - max(row, row_edges[i])
            across = min(right, col_edges[j + 1]) - max(col, col_edges[j])
            shared += max(0, down) * max(0, across)
        if shared == 0:
            parts[index] = TRAIN
        elif shared == (bottom - row) * (right - col):
            parts[index] = TEST
    return parts
