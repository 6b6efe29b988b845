"""Trivial baselines of a map: everything is landslide, nothing is, a box in the middle of every tile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from apsam.metrics.centred_box import NAME as CENTRED_BOX
from apsam.metrics.centred_box import centred_box
from apsam.reference_mask import NO_DATA

EVERYTHING, NOTHING = "everything", "nothing"
BASELINES = (EVERYTHING, NOTHING, CENTRED_BOX)

SOURCES = {"apsam": "APSAM", "cam": "CAM", "ground": "scene-wide", "self_training": "second-round"}
IN_WORDS = {
    EVERYTHING: "calling everything landslide",
    NOTHING: "calling nothing landslide",
    CENTRED_BOX: "a box in the middle of every tile",
}


def baselines(guess: np.ndarray, boxes: np.ndarray) -> dict[str, np.ndarray]:
    """Return baseline masks {0, 1, 255}, unknown where the map is unknown.

    Args:
        guess: The map {0, 1, 255}.
        boxes: Of the same shape, whether a pixel is in the middle of a tile.
    """
    unknown = guess == NO_DATA
    masks = {EVERYTHING: np.ones_like(guess), NOTHING: np.zeros_like(guess), CENTRED_BOX: boxes.astype(guess.dtype)}
    return {name: np.where(unknown, NO_DATA, mask) for name, mask in masks.items()}


def box_rows(windows: np.ndarray, top: int, height: int, width: int) -> np.ndarray:
    """Whether pixels of some rows of a scene are in the middle of a tile.

    Args:
        windows: (n, 4) tile windows.
        top: First row.
        height, width: Size of the result.

    Returns:
        (height, width) bool.
    """
    found = np.zeros((height, width), bool)
    for row, col, tall, wide in windows.tolist():
        first, last = max(row - top, 0), min(row + tall - top, height)
        if first < last:
            box = centred_box(tall, wide)[first + top - row : last + top - row]
            there = found[first:last, col : col + wide]
            there |= box[:, : there.shape[1]] == 1
    return found


def not_better(row: dict[str, Any], others: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the best baseline of the same part and scene whose F1 the map does not exceed; None if it beats all.

    Args:
        row: Metrics of a map.
        others: Rows of baselines.
    """
    if row.get("f1") is None:
        return None
    same = [
        one
        for one in others
        if one["part"] == row["part"] and one.get("scene") == row.get("scene") and one.get("f1") is not None
    ]
    best = max(same, key=lambda one: one["f1"], default=None)
    return best if best is not None and best["f1"] >= row["f1"] else None


def baseline_warnings(rows: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[str]:
    """Return a warning for each map that does not beat all baselines, over all held-out scenes.

    If no held-out scene is measured, over all training scenes.

    Args:
        rows: Of maps and baselines.
        others: More rows of baselines.
    """
    known = [*others, *(row for row in rows if row["source"] in BASELINES)]
    part = "test" if any(row["part"] == "test" for row in rows) else "train"
    ground = "held-out ground" if part == "test" else "the ground of their training"
    found = []
    for row in rows:
        if row["part"] != part or row.get("scene") or row["source"] in BASELINES:
            continue
        best = not_better(row, known)
        if best is not None:
            masks = SOURCES.get(row["source"], row["source"])
            found.append(
                f"the maps learned from {masks} masks have F1 {row['f1']:.3f} on {ground}, no more than "
                f"{IN_WORDS[best['source']]} ({best['f1']:.3f}): do not use them"
            )
    return found
