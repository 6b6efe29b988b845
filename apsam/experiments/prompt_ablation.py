"""Ablation of prompts: points, boxes, or both (paper, Table 2); and both with the CAM as mask prompt."""

from __future__ import annotations

from apsam.experiments.results import TrialResults
from apsam.experiments.table import COUNTS, FIGURES, PART, TILES, Column, Experiment
from apsam.experiments.trials import WITH_CAM
from apsam.metrics.scene import PARTS

NAME = "prompt_ablation"
COLUMNS = (PART, Column("prompts", "Prompts"), TILES, *FIGURES, *COUNTS)
# In the order of the paper's table; the last one is not in the paper.
ORDER = ("both", "boxes", "points", WITH_CAM)


def prompt_ablation(results: TrialResults) -> Experiment:
    """Return a row for every part and kind of prompts, at the run's own threshold."""
    thresholds = results.own_thresholds
    rows = []
    for part in PARTS:
        for kind in (kind for kind in ORDER if results.has(kind)):
            figures = results.figures(results.selected(kind, thresholds), part)
            if figures is not None:
                rows.append({"part": part, "prompts": kind, **figures})
    at = (
        f"CAM threshold {thresholds[0]} for all kinds."
        if len(thresholds) == 1
        else "CAM threshold selected tile by tile without labels, for every kind of prompts by itself, of "
        f"{', '.join(map(str, thresholds))}."
    )
    notes = [at]
    if results.has(WITH_CAM):
        notes.append(f"{WITH_CAM}: both, and the CAM as SAM's mask prompt (masks.cam_mask), beyond the paper.")
    return Experiment(NAME, "Prompts given to SAM (paper, Table 2)", results.protocol, COLUMNS, rows, notes)
