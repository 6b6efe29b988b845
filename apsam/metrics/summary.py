"""Main metrics of a run in one flat table, for comparing versions with `dvc metrics` and `dvc exp show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RATES = ("iou", "f1")
NAMES = {"train": "training", "test": "held_out"}


def summarise(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """Collect IoU and F1 by kind, part and source.

    Args:
        measured: Kind (`masks`, `resunet`) -> its metrics (`metrics/*.json`: rows with part and source).

    Returns:
        For example `{"masks": {"held_out": {"apsam": {"iou": 0.7, "f1": 0.8}}}}`; None if a metric is undefined.
    """
    table: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    for name, figures in measured.items():
        for row in figures["rows"]:
            if row.get("scene"):
                continue
            part = table.setdefault(name, {}).setdefault(NAMES.get(row["part"], row["part"]), {})
            part[row["source"]] = {rate: row[rate] for rate in RATES}
    return table
