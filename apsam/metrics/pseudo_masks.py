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


def measure_pseudo_masks(scenes: Sequence[MeasuredScene], masks: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """Measure pseudo-masks.

    Folders of ready-made tiles get a further source, `centred_box`: a fixed box in the middle of every tile labelled
    positive, which shows how much of a score the way the crops were cut gives for nothing.

    Args:
        scenes: Scenes with a true mask.
        masks: Source (apsam, cam, ...) -> mask stack of every scene, in the order of `scenes`.

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
    return {"protocol": PROTOCOL, "rows": rows(tallies)}


def _guesses(truth: TileTruth, sources: Mapping[str, Path]) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield (source, tile, mask)."""
    for source, path in sources.items():
        with TileStack(path) as stack:
            if len(stack) != len(truth.label):
                raise InputError(f"{path}: has {len(stack)} masks for {len(truth.label)} tiles; make it again")
            for start, batch in stack.batches(("mask",), 64):
                for offset, mask in enumerate(batch["mask"]):
                    yield source, start + offset, mask
    if truth.names is not None:
        box = centred_box.centred_box(truth.size, truth.size)
        for tile, label in enumerate(truth.label.tolist()):
            yield centred_box.NAME, tile, box * label
