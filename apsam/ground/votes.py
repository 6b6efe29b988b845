"""One pseudo-mask for a scene, from the masks of overlapping tiles or views."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from apsam.ground.labels import FREE, POSSIBLE, TRAINING_LABELS, UNKNOWN, clip_rows, common_grid, tiles_in_rows
from apsam.ground.raster import GridReader, GridWriter, row_bands
from apsam.masks.stack import same_tiles
from apsam.progress import track
from apsam.stack import TileStack


def make_ground_masks(
    windows: Sequence[Path], masks: Sequence[Path], labels: Path, output: Path, votes: float = 0.5
) -> None:
    """Write the pseudo-mask of a scene: landslide where enough masks say so and the labels allow it.

    A tile that was not asked about (no prompts, `threshold` -1) has no vote. Values: 1 landslide, 0 none, 255 where the
    label map is 255. In memory is one band of rows.

    Args:
        windows: Stacks of tiles or views.
        masks: Their mask stacks, in the same order.
        labels: Label map of the scene's ground.
        output: GeoTIFF to make, on the scene's grid.
        votes: Share of the masks over a pixel that must hold it.

    Raises:
        InputError: Masks, tiles and labels do not belong together.
    """
    grid = common_grid(windows)
    with ExitStack() as opened:
        ground = opened.enter_context(GridReader(labels, grid))
        places = [opened.enter_context(TileStack(path)).read("window") for path in windows]
        stacks = [opened.enter_context(same_tiles(w, m)) for w, m in zip(windows, masks, strict=True)]
        asked = [
            stack.read("threshold") >= 0 if "threshold" in stack.arrays else np.ones(len(stack), bool)
            for stack in stacks
        ]
        tags = {"APSAM_VOTES": f"{votes:g}"}
        writer = opened.enter_context(GridWriter(output, grid, ("pseudo-mask",), "uint8", UNKNOWN, tags))
        for top, rows in track(list(row_bands(grid.height)), f"pseudo-mask of {grid.scene}"):
            held = np.zeros((rows, grid.width), np.float32)
            count = np.zeros_like(held)
            for window, stack, wanted in zip(places, stacks, asked, strict=True):
                for index in tiles_in_rows(window, top, rows):
                    if wanted[index]:
                        _, _, height, width = window[index].tolist()
                        mask = (stack.read_at("mask", [index])[0] == 1).astype(np.float32)
                        if mask.shape != (height, width):
                            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
                        own, values = clip_rows(window[index].tolist(), mask, top, rows, grid.width)
                        held[own] += values
                        count[own] += 1
            allowed = ground.read(top, 0, rows, grid.width, band=TRAINING_LABELS)
            found = (held >= votes * count - 1e-6) & (count > 0) & (held > 0) & (allowed == POSSIBLE)
            writer.write(top, np.where(allowed == UNKNOWN, UNKNOWN, np.where(found, POSSIBLE, FREE))[None].astype("u1"))
