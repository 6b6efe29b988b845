"""Compute metrics from trials: for any choice of one trial per tile, and for choices made without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apsam.errors import InputError
from apsam.experiments.trials import Trial
from apsam.metrics.counts import Counts
from apsam.metrics.scene import PARTS
from apsam.metrics.tally import Tally
from apsam.sam.select import pick_set
from apsam.stack import TileStack


@dataclass(frozen=True)
class TrialResults:
    """The trials of all scenes, tiles one after the other.

    Attributes:
        protocol: Of the counts.
        trials: The S trials.
        own_kind, own_thresholds: Kind of prompts and thresholds of the run itself.
        counts: (n, S, 4) TP, FP, FN, TN.
        agreement: (n, S) soft IoU of SAM's probability and the CAM.
        predicted_iou: (n, S) by SAM.
        prompts: (n, S) number of prompts.
        cam: (n,) whether the tile has a CAM.
        part: (n,) 0 train, 1 test, 255 neither.
    """

    protocol: str
    trials: tuple[Trial, ...]
    own_kind: str
    own_thresholds: tuple[int, ...]
    counts: np.ndarray
    agreement: np.ndarray
    predicted_iou: np.ndarray
    prompts: np.ndarray
    cam: np.ndarray
    part: np.ndarray

    def trial_index(self, kind: str, threshold: int) -> int:
        """Return the index of a trial."""
        return self.trials.index(Trial(kind, threshold))

    def has(self, kind: str) -> bool:
        """Whether any trial is of this kind."""
        return any(trial.kind == kind for trial in self.trials)

    def fixed(self, kind: str, threshold: int) -> np.ndarray:
        """Return (n,) the same trial for every tile."""
        return np.full(len(self.part), self.trial_index(kind, threshold))

    def selected(self, kind: str, thresholds: Sequence[int]) -> np.ndarray:
        """Return (n,) the trial of every tile whose masks agree best with its CAM, as in the masks stage (no label)."""
        places = np.array([self.trial_index(kind, threshold) for threshold in thresholds])
        rows = zip(self.agreement[:, places], self.predicted_iou[:, places], strict=True)
        return np.array([places[pick_set(agreement, iou)] for agreement, iou in rows], int)

    def mean_agreement(self, kind: str, threshold: int) -> float | None:
        """Return the mean agreement over the tiles with a CAM that `choosing` selects."""
        tiles = self.choosing
        return float(self.agreement[tiles, self.trial_index(kind, threshold)].mean()) if tiles.any() else None

    @property
    def choosing(self) -> np.ndarray:
        """Return (n,) bool, the tiles for selecting a threshold: training tiles with a CAM; all with one if there is no
        training tile among the measured scenes. No label is read either way."""
        training = (self.cam > 0) & (self.part == PARTS["train"])
        return training if training.any() else self.cam > 0

    def best_agreement(self, kind: str, thresholds: Sequence[int]) -> int | None:
        """Return the threshold with the highest mean agreement, the lower of equals; None without any CAM."""
        means = [self.mean_agreement(kind, threshold) for threshold in thresholds]
        return None if None in means else thresholds[int(np.argmax(np.array(means, float)))]

    def figures(self, choice: np.ndarray, part: str) -> dict[str, Any] | None:
        """Return counts and metrics over the tiles of a part, computed as in the metrics; None without such tiles.

        Args:
            choice: (n,) the trial used for each tile.
            part: `train` or `test`.
        """
        tiles = np.flatnonzero(self.part == PARTS[part])
        if not len(tiles):
            return None
        tally = Tally()
        for tile in tiles:
            tally.add_counts(Counts(*map(int, self.counts[tile, choice[tile]])))
        return tally.figures()


def read_trials(paths: Sequence[Path]) -> TrialResults:
    """Read the trials of some scenes.

    Raises:
        InputError: They are of different settings, or one cannot be read.
    """
    names = ("counts", "agreement", "predicted_iou", "prompts", "cam", "part")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    first: dict[str, Any] | None = None
    for path in paths:
        with TileStack(path) as stack:
            shared = {key: stack.attributes[key] for key in ("protocol", "trials", "own")}
            if first not in (None, shared):
                raise InputError(f"{path}: its trials are not those of {paths[0]}; remove both and run again")
            first = shared
            for name in names:
                parts[name].append(stack.read(name))
    if first is None:
        raise InputError("no scene has a reference mask: nothing can be measured; name one in the scene sheet")
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    trials = tuple(Trial(**trial) for trial in first["trials"])
    own = first["own"]
    return TrialResults(first["protocol"], trials, own["kind"], tuple(own["thresholds"]), **arrays)
