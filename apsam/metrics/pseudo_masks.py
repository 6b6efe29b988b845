"""Evaluate pseudo-masks, tile by tile as in the literature: a pixel counts in every tile that contains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from apsam.errors import InputError
from apsam.metrics import centred_box
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.metrics.tally import Key, Tally, rows
from apsam.protocol import HELD_OUT
from apsam.reference_mask import NO_DATA
from apsam.stack import TileStack

TILES_AT_ONCE = 64


def measure_pseudo_masks(
    scenes: Sequence[MeasuredScene], masks: Mapping[str, Sequence[Path]], protocol: str = HELD_OUT
) -> dict[str, Any]:
    """Evaluate pseudo-masks.

    If a scene is a folder of ready-made tiles, all have an additional source, `centred_box`: a fixed box in the middle
    of every positive tile, which measures the centre bias of the crops.

    Args:
        scenes: Scenes with a reference mask.
        masks: Source (apsam, cam, ...) -> mask stack of every scene, in the order of `scenes`.
        protocol: `held_out`, or `as_released` if a setting requires it (`apsam.protocol`).

    Returns:
        {"protocol", "rows"}: a row for each source and part over all scenes, then one for each scene, with "scene".

    Raises:
        InputError: A stack is of another scene, or the reference mask cannot be read.
    """
    tallies: dict[Key, Tally] = {}
    boxes = any(measured.scene.kind == "folder" for measured in scenes)
    for index, measured in enumerate(scenes):
        with TileReferenceMasks(measured) as reference:
            stacks = {source: paths[index] for source, paths in masks.items()}
            for tile, guesses in _guesses(reference, stacks, boxes):
                part = reference.part_name(tile)
                if part is not None:
                    there = reference.tile(tile)
                    for source, guess in guesses.items():
                        tallies.setdefault((source, part, measured.scene.name), Tally()).add_tile(guess, there)
    return {"protocol": protocol, "rows": rows(tallies)}


def as_released(mask: np.ndarray, overlap_count: np.ndarray) -> np.ndarray:
    """Reproduce the released code's counting of masks that it added as bytes (`masks.join: add`).

    Two masks of 0 and 1 add up to 2, times 255 is 254 in a byte; its metrics count only bytes of 0 and 255. So a pixel
    in the masks of several prompts, mostly in the middle of a landslide, is ignored.

    Args:
        mask: (..., h, w) {0, 1, 255}.
        overlap_count: (..., h, w), number of prompts' masks with the pixel.
    """
    return np.where(overlap_count > 1, NO_DATA, mask).astype(np.uint8)


def _guesses(
    reference: TileReferenceMasks, sources: Mapping[str, Path], boxes: bool
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield (tile, {source: mask}) for all tiles; with `boxes` also the centred box."""
    count = len(reference.label)
    box = centred_box.centred_box(reference.size, reference.size) if boxes else None
    with ExitStack() as opened:
        stacks = {source: opened.enter_context(TileStack(path)) for source, path in sources.items()}
        for stack in stacks.values():
            if len(stack) != count:
                raise InputError(f"{stack.path}: has {len(stack)} masks for {count} tiles; make it again")
        for start in range(0, count, TILES_AT_ONCE):
            read = {source: _read(stack, start) for source, stack in stacks.items()}
            for offset in range(min(TILES_AT_ONCE, count - start)):
                guesses = {source: masks[offset] for source, masks in read.items()}
                if box is not None:
                    guesses[centred_box.NAME] = box * reference.label[start + offset]
                yield start + offset, guesses


def _read(stack: TileStack, start: int) -> np.ndarray:
    """Return the masks of some tiles, (n, h, w), as they are counted."""
    masks = stack.read("mask", start, start + TILES_AT_ONCE)
    if "claims" not in stack.arrays:
        return masks
    return as_released(masks, stack.read("claims", start, start + TILES_AT_ONCE))
