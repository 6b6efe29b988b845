"""Write the files of an experiment: `<name>.json` (schema 1) and the same rows as tidy CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from apsam.files import atomic_path, write_json

SCHEMA = 1


@dataclass(frozen=True)
class Column:
    """A column of an experiment's table.

    Attributes:
        key: Key of the rows.
        title: Its heading.
        kind: `text`, `integer`, `number`, or `share` (0..1, shown in percent).
    """

    key: str
    title: str
    kind: str = "text"


COUNTS = tuple(Column(key, key.upper(), "integer") for key in ("tp", "fp", "fn", "tn"))
FIGURES = (
    Column("oa", "OA", "share"),
    Column("precision", "Precision", "share"),
    Column("recall", "Recall", "share"),
    Column("f1", "F1", "share"),
    Column("iou", "IoU", "share"),
    Column("kappa", "Kappa", "share"),
    Column("mean_iou", "Mean IoU of a tile", "share"),
)
PART = Column("part", "Tiles")
TILES = Column("tiles", "Number of tiles", "integer")


@dataclass(frozen=True)
class Experiment:
    """Result of an experiment.

    Attributes:
        name: Of its files and its target.
        title: One line.
        protocol: `held_out` or `as_released`.
        columns: In the order of the CSV.
        rows: Values by the columns' keys; None if undefined or not measured.
        notes: Notes for the reader: how a choice was made, what was skipped and why.
    """

    name: str
    title: str
    protocol: str
    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def write_experiment(experiment: Experiment, output: Path) -> None:
    """Write `output` (JSON), and the CSV next to it."""
    columns = [asdict(column) for column in experiment.columns]
    rows = [{column.key: row.get(column.key) for column in experiment.columns} for row in experiment.rows]
    value = {
        "schema": SCHEMA,
        "name": experiment.name,
        "title": experiment.title,
        "protocol": experiment.protocol,
        "columns": columns,
        "rows": rows,
        "notes": experiment.notes,
    }
    write_json(output, value)
    _write_csv(output.with_suffix(".csv"), experiment.protocol, experiment.columns, rows)


def _write_csv(path: Path, protocol: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one line per row; every line has the protocol, so that no metric is quoted without it."""
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["protocol", *(column.key for column in columns)])
        for row in rows:
            writer.writerow([protocol, *("" if row[c.key] is None else row[c.key] for c in columns)])
