"""Suggest which tiles to label next and which labels to check, from a run's predictions of its tiles.

Only image-level labels and the run's own files are read, no reference mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import shapely

from apsam.errors import InputError
from apsam.labelling.ranking import agreement, calibrate, covered_by_negatives, entropy, spread_out, suspicion
from apsam.labelling.suggestions import Suggestion, Suggestions
from apsam.labelling.tile_outputs import RunScene, TileOutputs, centres, read_tile_outputs
from apsam.tiles.labels import UNLABELLED

# From this difference on, the text for the user says that two members disagree.
DISAGREE = 0.4


def suggest(scenes: Sequence[TileOutputs]) -> Suggestions:
    """Order unlabelled tiles by usefulness, and labelled ones by how probably their label is wrong.

    Raises:
        InputError: The run has no prediction of any tile.
    """
    if not any(scene.members for scene in scenes):
        raise InputError("the run contains neither scores, nor a map, nor pseudo-masks; let it finish first")
    label = np.concatenate([scene.label for scene in scenes])
    members = _calibrated(scenes, label)
    probability = agreement(list(members.values()))
    covered = np.concatenate(
        [
            np.zeros(len(scene.names)) if scene.boxes is None else covered_by_negatives(scene.boxes, scene.label)
            for scene in scenes
        ]
    )
    where = [(scene, number) for scene in scenes for number in range(len(scene.names))]

    def entry(rank: int, kind: Literal["look", "check"], index: int, score: float, why: str) -> Suggestion:
        scene, number = where[index]
        known = None if label[index] == UNLABELLED else int(label[index])
        return Suggestion(rank, kind, scene.name, scene.names[number], number, known, round(float(score), 4), why)

    look = [
        entry(rank, "look", index, score, _why_look(members, probability, index))
        for rank, (index, score) in enumerate(_look(scenes, label, probability), 1)
    ]
    wrong = suspicion(probability, label, covered)
    judged = np.flatnonzero(~np.isnan(wrong))
    check = [
        entry(rank, "check", index, wrong[index], _why_check(members, label, covered, index))
        for rank, index in enumerate(judged[np.argsort(-wrong[judged], kind="stable")].tolist(), 1)
    ]
    return Suggestions([*look, *check])


def suggest_for_run(scenes: Sequence[RunScene]) -> tuple[Suggestions, list[str]]:
    """Read a run's files and make suggestions; also return messages on missing files."""
    found = [read_tile_outputs(scene) for scene in scenes]
    missing = [f"{scene.name} has no {what.removeprefix('a ')}" for scene in found for what in scene.missing]
    return suggest(found), missing


def _calibrated(scenes: Sequence[TileOutputs], label: np.ndarray) -> dict[str, np.ndarray]:
    """Return member -> (n,) probabilities of all tiles of all scenes."""
    words = list(dict.fromkeys(word for scene in scenes for word in scene.members))
    members = {}
    for word in words:
        score = np.concatenate([scene.members.get(word, np.full(len(scene.names), np.nan)) for scene in scenes])
        # Pseudo-masks exist only for positive tiles, so they cannot be calibrated.
        members[word] = score if word == "pseudo-mask" else calibrate(score, label)
    return members


def _look(scenes: Sequence[TileOutputs], label: np.ndarray, probability: np.ndarray) -> list[tuple[int, float]]:
    """Return tiles without label of all scenes, best first, with their usefulness when they were selected."""
    selected: list[tuple[float, int]] = []
    start = 0
    for scene in scenes:
        own = np.flatnonzero(label[start : start + len(scene.names)] == UNLABELLED)
        use = entropy(probability[start + own])
        place = None if scene.boxes is None else centres(scene.boxes[own])
        side = 1.0 if scene.boxes is None else float(np.median(shapely.area(scene.boxes))) ** 0.5
        order, values = spread_out(use, place, side)
        selected += [(float(value), int(start + own[index])) for index, value in zip(order, values, strict=True)]
        start += len(scene.names)
    selected.sort(key=lambda pair: (-pair[0], pair[1]))
    return [(index, value) for value, index in selected]


def _opinions(members: dict[str, np.ndarray], index: int) -> list[tuple[str, float]]:
    return [(word, float(values[index])) for word, values in members.items() if not np.isnan(values[index])]


def _percent(opinions: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{word} {value:.0%}" for word, value in opinions)


def _why_look(members: dict[str, np.ndarray], probability: np.ndarray, index: int) -> str:
    opinions = _opinions(members, index)
    if not opinions:
        return "the run says nothing of it"
    values = [value for _, value in opinions]
    if max(values) - min(values) >= DISAGREE:
        return f"they disagree: {_percent(opinions)}"
    p = probability[index]
    word = "undecided" if 0.25 <= p <= 0.75 else "probably landslide" if p > 0.5 else "probably none"
    return f"{word}: {_percent(opinions)}"


def _why_check(members: dict[str, np.ndarray], label: np.ndarray, covered: np.ndarray, index: int) -> str:
    if covered[index] > 1 - 1e-9:
        return "labelled landslide, and all of its ground lies in tiles labelled none"
    opinions = [(word, value) for word, value in _opinions(members, index) if word != "pseudo-mask"]
    text = f"labelled {'landslide' if label[index] else 'none'}: {_percent(opinions)}"
    masks = members.get("pseudo-mask")
    if masks is not None and masks[index] == 0:
        text += ", its pseudo-mask is empty"
    return text
