"""Experiments of a run, whatever they are: each file of `experiments/` becomes a table, notes and a figure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from apsam.report.charts import Level, Line, Mark, line_chart
from apsam.report.colours import webp_within
from apsam.report.inputs import SOURCE_NAMES, Notes, load_json
from apsam.report.tables import PARTS, PROTOCOLS, Cell, Table

SCHEMA = 1

# In this order, others after them by name: the paper's tables, its figures, then what goes beyond it.
ORDER = (
    "table1",
    "table1_masks",
    "table1_maps",
    "prompt_ablation",
    "everything_vs_apsam",
    "threshold_sweep",
    "sam_size",
    "seeds",
    "released_effects",
)

# Shares of which the best is marked, where a table compares ways to the same thing: rows that agree in these keys and
# have no remark (of a bound, or of a figure of other data).
ALIKE = ("part", "measured", "counted")
COMPARED = ("oa", "precision", "recall", "f1", "iou", "kappa", "mean_iou")
NOT_COMPARED = ("threshold_sweep", "everything_vs_apsam", "seeds")

# Longer tables are folded away.
LONGEST_OPEN = 16

# Larger SVG files are shown as pictures: they hold pictures themselves.
LARGEST_SVG = 200_000


@dataclass(frozen=True)
class ExperimentView:
    """One experiment as the page shows it.

    Attributes:
        name: Of its files and its target.
        title, protocol, meaning: What it is, and how it was measured.
        table: Its rows.
        folded: Whether the table is long.
        notes: What its maker says.
        chart: Of the threshold sweep, as inline SVG; None for others.
        lines: Names of the chart's lines, for its legend.
        figure: Its picture as a data URI, or None.
        files: Endings of what lies next to the JSON.
    """

    name: str
    title: str
    protocol: str
    meaning: str
    table: Table
    folded: bool
    notes: list[str]
    chart: Markup | None
    lines: list[str]
    figure: str | None
    files: list[str]


def read_experiments(run: Path, limit: int, notes: Notes) -> list[ExperimentView]:
    """The experiments that were run; a file that cannot be read is noted.

    Args:
        run: `results/<run>`.
        limit: Characters that their pictures may take in all.
        notes: Takes what is broken.
    """
    found = []
    files = sorted((run / "experiments").glob("*.json"), key=_order)
    for file in files:
        value = load_json(file, f"experiment {file.stem}", notes)
        # Figures that an experiment is gathered from are no experiment.
        if value is None or ("columns" not in value and value.get("schema", SCHEMA) == SCHEMA):
            continue
        if value.get("schema") != SCHEMA or not isinstance(value.get("rows"), list):
            notes.add(f"experiment {file.stem}", f"{file}: not of schema {SCHEMA}; run the experiment again")
            continue
        found.append(_view(file, value, limit // len(files)))
    return found


def _order(file: Path) -> tuple[int, str]:
    return (ORDER.index(file.stem) if file.stem in ORDER else len(ORDER)), file.stem


def _view(file: Path, value: dict[str, Any], limit: int) -> ExperimentView:
    name, protocol = file.stem, str(value.get("protocol", "unknown"))
    chart, lines = _sweep_chart(value["rows"]) if name == "threshold_sweep" else (None, [])
    return ExperimentView(
        name=name,
        title=str(value.get("title", name)),
        protocol=protocol,
        meaning=PROTOCOLS.get(protocol, ""),
        table=_table(name, value),
        folded=len(value["rows"]) > LONGEST_OPEN,
        notes=[str(note) for note in value.get("notes", [])],
        chart=chart,
        lines=lines,
        figure=None if chart else _picture(file, limit),
        files=[end for end in ("json", "csv", "png", "svg") if file.with_suffix(f".{end}").is_file()],
    )


def _table(name: str, value: dict[str, Any]) -> Table:
    # Held-out tiles first, as in the tables above.
    rows = sorted((row for row in value["rows"] if isinstance(row, dict)), key=lambda row: row.get("part") == "train")
    columns = [c for c in value.get("columns", []) if any(row.get(c["key"]) is not None for row in rows)]
    best = _best(rows) if name not in NOT_COMPARED else {}
    lines = [
        [
            _cell(row.get(c["key"]), c, best.get((_compared(row), c["key"])) == row.get(c["key"]) is not None)
            for c in columns
        ]
        for row in rows
    ]
    titles = [f"{c['title']}, %" if c.get("kind") == "share" else c["title"] for c in columns]
    return Table(str(value.get("title", name)), "", titles, lines)


def _best(rows: Sequence[dict[str, Any]]) -> dict[tuple[Any, str], float]:
    """Best value by kind of row and figure, where there are at least two."""
    best = {}
    for key in COMPARED:
        for kind in {_compared(row) for row in rows} - {None}:
            values = [row[key] for row in rows if _compared(row) == kind and isinstance(row.get(key), int | float)]
            if len(values) > 1:
                best[kind, key] = max(values)
    return best


def _compared(row: dict[str, Any]) -> tuple[Any, ...] | None:
    """Kind of the rows that a row is compared with; None for one that is not compared."""
    return None if row.get("remark") else tuple(row.get(key) for key in ALIKE)


def _cell(value: Any, column: dict[str, Any], best: bool) -> Cell:
    kind, key = column.get("kind", "text"), column["key"]
    if value is None:
        return Cell("–", kind != "text")
    if kind == "share" and isinstance(value, int | float):
        return Cell(f"{100 * value:.1f}", True, best)
    if kind == "integer" and isinstance(value, int):
        return Cell(f"{value:,}", True)
    if kind == "number" and isinstance(value, int | float):
        return Cell(f"{value:.4g}", True)
    names = {"part": PARTS, "source": SOURCE_NAMES}.get(key, {})
    return Cell(names.get(value, str(value)), kind != "text")


def _sweep_chart(rows: Sequence[dict[str, Any]]) -> tuple[Markup | None, list[str]]:
    """IoU over thresholds (paper, Fig. 5): of held-out tiles, or where there are none of the training ones."""
    parts = {row.get("part") for row in rows}
    part = "test" if "test" in parts else next(iter(sorted(map(str, parts))), None)
    lines, marks, levels = [], [], []
    for source, name in (("apsam", "APSAM"), ("cam", "CAM alone")):
        mine = [r for r in rows if r.get("source") == source and r.get("part") == part and r.get("iou") is not None]
        fixed = [r for r in mine if isinstance(r.get("threshold"), int)]
        if fixed:
            lines.append(Line(name, [r["threshold"] for r in fixed], [100 * r["iou"] for r in fixed]))
        marks += [Mark("selected without labels", r["threshold"], 100 * r["iou"]) for r in fixed if r.get("selected")]
        levels += [Level("selected tile by tile", 100 * r["iou"]) for r in mine if not isinstance(r["threshold"], int)]
    if not lines:
        return None, []
    said = [f"{line.name} from {min(line.y):.1f} to {max(line.y):.1f} %" for line in lines]
    said += [f"{mark.name}: {mark.x}, {mark.y:.1f} %" for mark in marks]
    said += [f"{level.name}: {level.y:.1f} %" for level in levels]
    where = PARTS.get(str(part), str(part))
    chart = line_chart(
        lines, "CAM threshold", "IoU, %", f"IoU over CAM thresholds, {where} tiles. {'; '.join(said)}", marks, levels
    )
    return chart, [line.name for line in lines]


def _picture(file: Path, limit: int) -> str | None:
    """The experiment's figure: as SVG where that is small, else as WebP of at most about `limit` characters."""
    svg, png = file.with_suffix(".svg"), file.with_suffix(".png")
    if svg.is_file() and svg.stat().st_size <= min(LARGEST_SVG, limit * 3 // 4):
        return f"data:image/svg+xml;base64,{base64.b64encode(svg.read_bytes()).decode('ascii')}"
    if not png.is_file():
        return None
    with Image.open(png) as image:
        return webp_within(np.asarray(image.convert("RGB")), limit)
