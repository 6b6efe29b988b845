"""Pixel counts (true and false positives and negatives), and the metrics computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from apsam.reference_mask import NO_DATA


@dataclass(frozen=True)
class Counts:
    """True and false positives and negatives, in pixels.

    A metric whose denominator is 0 is undefined: None here, null in JSON, never 1. So the precision of
    an empty mask is None, and its F1 is 0 if the reference has landslides.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @staticmethod
    def of(guess: np.ndarray, reference: np.ndarray) -> Counts:
        """Count two masks of the same shape, {0, 1, 255}; pixels that are 255 in either are ignored."""
        known = (guess != NO_DATA) & (reference != NO_DATA)
        found, there = guess == 1, reference == 1
        both = int(np.count_nonzero(found & there & known))
        tp_fp, tp_fn = int(np.count_nonzero(found & known)), int(np.count_nonzero(there & known))
        return Counts(both, tp_fp - both, tp_fn - both, int(np.count_nonzero(known)) - tp_fp - tp_fn + both)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def pixels(self) -> int:
        """Number of counted pixels."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def iou(self) -> float | None:
        """Intersection over union of landslide: TP / (TP + FP + FN)."""
        return _share(self.tp, self.tp + self.fp + self.fn)

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float | None:
        """Share of the mask that is landslide: TP / (TP + FP)."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of the landslides in the reference that the mask covers: TP / (TP + FN)."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def accuracy(self) -> float | None:
        """Share of correct pixels (overall accuracy)."""
        return _share(self.tp + self.tn, self.pixels)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: agreement beyond the one expected by chance from the two masks' shares of landslide."""
        if not self.pixels:
            return None
        agreed = (self.tp + self.tn) / self.pixels
        by_chance = (
            (self.tp + self.fp) * (self.tp + self.fn) + (self.fn + self.tn) * (self.fp + self.tn)
        ) / self.pixels**2
        return _share(agreed - by_chance, 1 - by_chance)

    def figures(self) -> dict[str, Any]:
        """Counts and metrics as in the metrics files."""
        return {
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "tn": self.tn,
            "oa": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "iou": self.iou,
            "kappa": self.kappa,
        }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
