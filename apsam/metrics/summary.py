"""The figures that versions of a run are compared by, in one flat table, as `dvc metrics` and `dvc exp show` want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RATES = ("iou", "f1")
NAMES = {"train": "training", "test": "held_out"}


def summarise(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """IoU and F1 by what was measured, part and source.

    Args:
        measured: What was measured (`masks`, `resunet`) -> its figures (`metrics/*.json`: rows with part and source).

    Returns:
        For example `{"masks": {"held_out": {"apsam": {"iou": 0.7, "f1": 0.8}}}}`; None where a rate is undefined.
    """
    table: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    for name, figures in measured.items():
        for row in figures["rows"]:
            if row.get("scene"):
                continue
            part = table.setdefault(name, {}).setdefault(NAMES.get(row["part"], row["part"]), {})
            part[row["source"]] = {rate: row[rate] for rate in RATES}
    return table
