"""Tiles that are probably labelled negative by mistake: the rule, and the file that names them. Imports no torch.

One wrong negative label excludes the landslide of its tile from the masks of all tiles that overlap it, and teaches
networks the opposite. So each tile is scored by networks that were trained without its label
(`apsam.heatmaps.cross_validation`). A negative tile is a label error if its score is at least the mean score of the
positive tiles: the rule of confident learning (Northcutt et al. 2021, doi:10.1613/jair.1.12125) for the label "no
landslide". No mask is read.

Networks that are trained on a few tiles of one kind cannot score this kind. With two positive tiles of a real scene, up
to 46 of its 65 correct negative labels would be errors, with ten up to 13, with 20 up to 4; with one negative tile of
it, this one. So there are no errors with fewer than `FEWEST_POSITIVE` or `FEWEST_NEGATIVE` tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from apsam.files import read_record, write_json

SCHEMA = 1
# Tiles that a warning names.
NAMED = 12
# With fewer tiles of a kind, no label is called wrong.
FEWEST_POSITIVE, FEWEST_NEGATIVE = 20, 10


@dataclass(frozen=True)
class LabelErrors:
    """Negative training tiles whose label is probably wrong.

    Attributes:
        threshold: Mean score of the positive tiles; None if there are too few tiles of a kind.
        negative: Number of negative training tiles.
        tiles: Scene -> names of the tiles.
    """

    threshold: float | None
    negative: int
    tiles: dict[str, list[str]]

    @property
    def count(self) -> int:
        """Return the number of tiles."""
        return sum(map(len, self.tiles.values()))


def choose_label_errors(names: Sequence[tuple[str, str]], scores: np.ndarray, labels: np.ndarray) -> LabelErrors:
    """Select the negative tiles that score like positive ones; none if there are too few tiles of a kind.

    Args:
        names: (scene, tile) of n tiles.
        scores: (n,) float, higher for landslides; NaN unknown.
        labels: (n,) {0, 1}.
    """
    known = np.isfinite(scores)
    positive = scores[known & (labels == 1)]
    negative = int((labels == 0).sum())
    if len(positive) < FEWEST_POSITIVE or int((known & (labels == 0)).sum()) < FEWEST_NEGATIVE:
        return LabelErrors(None, negative, {})
    tiles: dict[str, list[str]] = {}
    wrong = known & (labels == 0) & (scores >= positive.mean())
    for scene, tile in sorted(names[index] for index in np.flatnonzero(wrong).tolist()):
        tiles.setdefault(scene, []).append(tile)
    return LabelErrors(round(float(positive.mean()), 4), negative, tiles)


def label_error_warnings(errors: LabelErrors | None) -> list[str]:
    """Warn of labels that were left out."""
    if errors is None or not errors.count:
        return []
    named = [f"{scene} {tile}" for scene, tiles in errors.tiles.items() for tile in tiles]
    more = f" and {len(named) - NAMED} more in ground/label_errors.json" if len(named) > NAMED else ""
    return [
        f"{errors.count} of {errors.negative} negative training tiles look like positive ones; label maps made from "
        f"labels of tiles leave theirs out: look at them and correct the label table "
        f"({', '.join(named[:NAMED])}{more}); ground.folds: 0 uses all labels"
    ]


def write_label_errors(errors: LabelErrors, output: Path) -> None:
    """Write label errors as JSON."""
    write_json(output, {"schema": SCHEMA, **asdict(errors)})


def read_label_errors(path: Path) -> LabelErrors:
    """Read a file of `write_label_errors`.

    Raises:
        InputError: It is not such a file.
    """
    content = read_record(path, SCHEMA, ["threshold", "negative", "tiles"], "a file of label errors")
    return LabelErrors(content["threshold"], content["negative"], content["tiles"])
