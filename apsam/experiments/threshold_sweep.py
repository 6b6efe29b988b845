"""Effect of the CAM threshold (paper, Fig. 5), and the threshold selected without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apsam.experiments.results import TrialResults
from apsam.experiments.table import COUNTS, FIGURES, PART, TILES, Column, Experiment
from apsam.metrics.scene import PARTS

NAME = "threshold_sweep"
SOURCES = {"apsam": "APSAM", "cam": "CAM alone"}
COLUMNS = (
    Column("source", "Pseudo-mask"),
    PART,
    Column("threshold", "Threshold"),
    Column("selected", "Selected without labels"),
    Column("agreement", "Agreement with the CAM", "share"),
    TILES,
    *FIGURES,
    *COUNTS,
)
PER_TILE = "per tile"


def threshold_sweep(results: TrialResults, thresholds: Sequence[int]) -> Experiment:
    """Return a row for every source, part and threshold; for APSAM also one for thresholds selected per tile.

    Args:
        results: Trials of these thresholds.
        thresholds: Of the sweep, increasing.
    """
    kind = results.own_kind
    best = results.best_agreement(kind, thresholds)
    rows: list[dict[str, Any]] = []
    for source, trial_kind in (("apsam", kind), ("cam", "cam")):
        for part in PARTS:
            for threshold in thresholds:
                figures = results.figures(results.fixed(trial_kind, threshold), part)
                if figures is not None:
                    rows.append(_row(source, part, threshold, figures))
                    if source == "apsam":
                        rows[-1]["agreement"] = results.mean_agreement(kind, threshold)
                        rows[-1]["selected"] = "yes" if threshold == best else None
            if source == "apsam":
                figures = results.figures(results.selected(kind, thresholds), part)
                if figures is not None:
                    rows.append(_row(source, part, PER_TILE, figures))
    return Experiment(NAME, "CAM threshold (paper, Fig. 5)", results.protocol, COLUMNS, rows, _notes(results, best))


def _row(source: str, part: str, threshold: int | str, figures: dict[str, Any]) -> dict[str, Any]:
    return {"source": source, "part": part, "threshold": threshold, **figures}


def _notes(results: TrialResults, best: int | None) -> list[str]:
    tiles = int(results.choosing.sum())
    where = "training tiles" if (results.part[results.choosing] == PARTS["train"]).all() else "tiles"
    selected = "none: no tile has a CAM" if best is None else f"{best}"
    return [
        f"SAM is given {results.own_kind} prompts; everything else as in the run.",
        f"Selected without labels: {selected}, the threshold whose masks agree best with the CAMs (soft IoU, mean over "
        f"{tiles} {where} labelled positive).",
        f"'{PER_TILE}': the threshold is selected for every tile by agreement times SAM's predicted IoU, as "
        "prompts.threshold: auto does.",
        "IoU and the other shares are over all pixels of the part; 'Mean IoU of a tile' is over tiles that show a "
        "landslide.",
    ]
