"""How good pseudo-masks are, tile by tile as in the literature: a pixel counts in every tile that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apsam.errors import InputError
from apsam.metrics import centred_box
from apsam.metrics.scene import PROTOCOL, MeasuredScene, TileTruth
from apsam.metrics.tally import Key, Tally, rows
from apsam.stack import TileStack
from apsam.truth import NO_DATA


def measure_pseudo_masks(
    scenes: Sequence[MeasuredScene], masks: Mapping[str, Sequence[Path]], protocol: str = PROTOCOL
) -> dict[str, Any]:
    """Measure pseudo-masks.

    Folders of ready-made tiles get a further source, `centred_box`: a fixed box in the middle of every tile labelled
    positive, which shows how much of a score the way the crops were cut gives for nothing.

    Args:
        scenes: Scenes with a true mask.
        masks: Source (apsam, cam, ...) -> mask stack of every scene, in the order of `scenes`.
        protocol: `held_out`, or `as_released` where a setting says so (`apsam.protocol`).

    Returns:
        {"protocol", "rows"}: a row for each source and part over all scenes, then one for each scene, with "scene".

    Raises:
        InputError: A stack does not belong to its scene, or the truth cannot be read.
    """
    tallies: dict[Key, Tally] = {}
    for index, measured in enumerate(scenes):
        with TileTruth(measured) as truth:
            sources = {source: paths[index] for source, paths in masks.items()}
            for source, tile, guess in _guesses(truth, sources):
                part = truth.part_name(tile)
                if part is not None:
                    tally = tallies.setdefault((source, part, measured.scene.name), Tally())
                    tally.add_tile(guess, truth.tile(tile))
    return {"protocol": protocol, "rows": rows(tallies)}


def as_released(mask: np.ndarray, claims: np.ndarray) -> np.ndarray:
    """What the released code counts of masks that it added as bytes (`masks.join: add`).

    Two masks of 0 and 1 add up to 2, times 255 is 254 in a byte; its figures count bytes of 0 and 255 alone. So a pixel
    that several prompts claim, mostly in the middle of a landslide, is neither right nor wrong.

    Args:
        mask: (h, w) {0, 1, 255}.
        claims: (h, w), how many prompts' masks hold the pixel.
    """
    return np.where(claims > 1, NO_DATA, mask).astype(np.uint8)


def _guesses(truth: TileTruth, sources: Mapping[str, Path]) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield (source, tile, mask)."""
    for source, path in sources.items():
        with TileStack(path) as stack:
            if len(stack) != len(truth.label):
                raise InputError(f"{path}: has {len(stack)} masks for {len(truth.label)} tiles; make it again")
            added = "claims" in stack.arrays
            for start, batch in stack.batches(("mask", "claims") if added else ("mask",), 64):
                for offset, mask in enumerate(batch["mask"]):
                    yield source, start + offset, as_released(mask, batch["claims"][offset]) if added else mask
    if truth.names is not None:
        box = centred_box.centred_box(truth.size, truth.size)
        for tile, label in enumerate(truth.label.tolist()):
            yield centred_box.NAME, tile, box * label
