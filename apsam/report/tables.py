"""Figures of a run as tables: rows of text and numbers with a caption that says what was measured on what."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from apsam.metrics.baselines import BASELINES, not_better
from apsam.protocol import HELD_OUT
from apsam.report.inputs import SOURCE_NAMES

PROTOCOLS = {
    "held_out": "Measured on scenes or blocks that took no part in training; no pixel label trained anything, chose an "
    "epoch or set a threshold.",
    "as_released": "Measured the way the paper's released code does, on the images that were trained on too; not "
    "comparable with held-out figures.",
}

TRAINING_ONLY = (
    "No held-out scene was measured: none is held out, or none has a reference mask. All figures are of training "
    "scenes: they say how well masks and maps reproduce the ground of their training. Maps of other ground are usually "
    "worse; to measure that, give a scene with a reference mask the split test."
)

PARTS = {"test": "held out", "train": "training"}

SHARES = (("f1", "F1"), ("iou", "IoU"), ("precision", "Precision"), ("recall", "Recall"), ("oa", "OA"))
OPTIONAL_SHARES = (("kappa", "Kappa"), ("mean_iou", "Mean IoU"))
# What landslides are counted by, and their areas.
NO_OBJECTS = dict.fromkeys(
    ("reference", "found", "partly", "missed", "mapped", "false", "reference_m2", "mapped_m2"), 0
)
# More scenes are not named in a caption.
SCENES_NAMED = 5
COUNTS = (("tp", "TP"), ("fp", "FP"), ("fn", "FN"), ("tn", "TN"))

DEFINITIONS = (
    ("F1", "2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall"),
    ("IoU", "TP / (TP + FP + FN), intersection over union"),
    ("Precision", "TP / (TP + FP), share of the mapped pixels that are landslide"),
    ("Recall", "TP / (TP + FN), share of the landslide pixels that are mapped"),
    ("OA", "overall accuracy, (TP + TN) / all; high wherever landslides are rare"),
    ("Kappa", "Cohen's kappa, agreement beyond what chance would give"),
    ("Mean IoU", "mean of the IoU of single tiles, over tiles with landslide in their reference mask"),
    ("TP, FP, FN, TN", "pixels: landslide found, false alarm, missed, rightly left out"),
)


@dataclass(frozen=True)
class Cell:
    """One cell: its text, and whether it is a number, the best of its column, or no better than a baseline."""

    text: str
    number: bool = False
    best: bool = False
    bad: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption."""

    title: str
    caption: str
    columns: list[str]
    rows: list[list[Cell]]


def share(value: float | None, digits: int = 3) -> str:
    """A figure between 0 and 1, or a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def rows_of(metrics: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The rows of a metrics file."""
    rows = (metrics or {}).get("rows", [])
    return [row for row in rows if isinstance(row, dict) and "source" in row]


def find_row(metrics: dict[str, Any] | None, source: str) -> dict[str, Any] | None:
    """The row of one source over all held-out scenes, or None."""
    overall = (row for row in rows_of(metrics) if not row.get("scene"))
    return next((row for row in overall if row["source"] == source and row.get("part", "test") == "test"), None)


def training_only(metrics: dict[str, Any] | None) -> bool:
    """Whether all rows of a metrics file are of training scenes."""
    rows = rows_of(metrics)
    return bool(rows) and all(row.get("part", "test") == "train" for row in rows)


def _measured_by(metrics: dict[str, Any]) -> str:
    """The protocol of a metrics file, for a caption. `held_out` says nothing of training scenes."""
    protocol = metrics.get("protocol", "unknown")
    return "Training scenes only" if protocol == HELD_OUT and training_only(metrics) else f"Protocol {protocol}"


def metrics_table(title: str, first: str, what: str, metrics: dict[str, Any]) -> Table:
    """The table of one metrics file over all scenes, held-out part first; the best of a part and column is marked.

    Args:
        title: Of the table.
        first: Name of the first column.
        what: Sentence on what was measured.
        metrics: `{"protocol": ..., "rows": [...]}`.
    """
    maps = [row for row in rows_of(metrics) if not row.get("scene")]
    others = [row for row in metrics.get("baselines", []) if not row.get("scene")]
    rows = sorted([*maps, *others], key=_order)
    shares = [*SHARES, *((key, name) for key, name in OPTIONAL_SHARES if any(row.get(key) is not None for row in rows))]
    best = _best([row for row in rows if row["source"] not in BASELINES], [key for key, _ in shares])
    lines = []
    behind = False
    for row in rows:
        part, baseline = row.get("part", "test"), row["source"] in BASELINES
        bad = bool(others) and not baseline and not_better(row, (one for one in rows if one["source"] in BASELINES))
        behind |= bool(bad)
        cells = [Cell(source_name(row), bad=bool(bad)), Cell(PARTS.get(part, part))]
        cells += [
            Cell(
                share(row.get(key)),
                True,
                not baseline and row.get(key) is not None and row[key] == best.get((part, key)),
                bool(bad) and key in ("f1", "iou"),
            )
            for key, _ in shares
        ]
        cells += [Cell("–" if row.get(key) is None else f"{row[key]:,}", True) for key, _ in COUNTS]
        lines.append(cells)
    caption = f"{what} {_measured_by(metrics)}; the best of a part in bold."
    if behind:
        caption += " In red: F1 no higher than that of a baseline, which knows nothing of the image."
    return Table(title, caption, [first, "Part", *(n for _, n in shares), *(n for _, n in COUNTS)], lines)


def scene_table(title: str, first: str, metrics: dict[str, Any]) -> Table | None:
    """The same by scene; None where the file says nothing of single scenes."""
    rows = [row for row in rows_of(metrics) if row.get("scene")]
    if not rows:
        return None
    lines = [
        [
            Cell(row["scene"]),
            Cell(PARTS.get(row.get("part", "test"), "")),
            Cell(source_name(row)),
            *(Cell(share(row.get(key)), True) for key, _ in SHARES),
        ]
        for row in sorted(rows, key=lambda r: (r.get("part") != "test", r["scene"], *_order(r)))
    ]
    return Table(f"{title} by scene", "", ["Scene", "Part", first, *(name for _, name in SHARES)], lines)


def objects_table(metrics: dict[str, Any]) -> Table:
    """Landslides of maps and reference masks, by scene: how many were found, missed or are false, and their area."""
    lines = []
    for row in sorted(rows_of(metrics), key=lambda r: (r.get("part") != "test", r["scene"], *_order(r))):
        error = row["area_error"]
        lines.append(
            [
                Cell(row["scene"]),
                Cell(PARTS.get(row["part"], row["part"])),
                Cell(source_name(row)),
                *(Cell(f"{row[key]:,}", True) for key in ("reference", "found", "partly", "missed", "mapped", "false")),
                Cell("–" if error is None else f"{100 * error:+.0f} %", True),
            ]
        )
    columns = ["Scene", "Part", "Trained on masks of", "There", "Found", "Partly", "Missed", "Mapped", "False"]
    caption = (
        f"Landslides of at least {metrics['min_area_m2']:g} m²: found where the map covers at least half of it, partly "
        f"where less; false where the reference mask covers less than half of it. Area: mapped against reference. "
        f"{_measured_by(metrics)}."
    )
    if cut := _cut_scenes(metrics):
        caption += f" {cut}"
    return Table("Landslides", caption, [*columns, "Area"], lines)


def _cut_scenes(metrics: dict[str, Any], parts: Collection[str] = tuple(PARTS)) -> str:
    """Say of which scenes only a part is measured, so that landslides are cut at its border; empty if of none."""
    least: dict[tuple[str, str], float] = {}
    for row in rows_of(metrics):
        # Not in files of early versions.
        measured = row.get("measured_share", 1)
        if measured < 1 and row["part"] in parts:
            of_part = (row["scene"], PARTS.get(row["part"], row["part"]))
            least[of_part] = min(measured, least.get(of_part, 1))
    if not least:
        return ""
    named = list(least.items())[:SCENES_NAMED]
    scenes = ", ".join(f"{scene} ({part}, {_percent(share)})" for (scene, part), share in named)
    more = f" and {len(least) - SCENES_NAMED} more" if len(least) > SCENES_NAMED else ""
    return (
        f"Of {scenes}{more} only labelled tiles of this part are measured. Landslides are cut at their border, and "
        f"each piece counts: numbers and areas differ from those in the GeoPackage."
    )


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{int(100 * share)} %"


def size_class_table(metrics: dict[str, Any]) -> Table | None:
    """The landslides of held-out scenes by size class, all scenes of a source together; None where there is none."""
    totals: dict[tuple[str, float], dict[str, Any]] = {}
    for row in rows_of(metrics):
        for one in row.get("classes", []) if row["part"] == "test" else []:
            total = totals.setdefault((row["source"], one["least_m2"]), {"source": row["source"], **one} | NO_OBJECTS)
            for key in NO_OBJECTS:
                total[key] += one[key]
    shown = [total for total in totals.values() if total["reference"] or total["mapped"]]
    if not shown:
        return None
    lines = []
    for row in sorted(shown, key=lambda one: (*_order(one | {"part": "test"}), one["least_m2"])):
        area = row["mapped_m2"] / row["reference_m2"] - 1 if row["reference_m2"] else None
        counts = ("reference", "found", "partly", "missed", "mapped", "false")
        limits = f"{row['least_m2']:,} to {row['below_m2']:,}" if row["below_m2"] else f"from {row['least_m2']:,}"
        lines.append(
            [
                Cell(source_name(row)),
                Cell(limits, True),
                *(Cell(f"{row[key]:,}", True) for key in counts),
                Cell("–" if area is None else f"{100 * area:+.0f} %", True),
            ]
        )
    columns = ["Trained on masks of", "Area, m²", "There", "Found", "Partly", "Missed", "Mapped", "False", "Area error"]
    caption = "Held-out scenes, by the area of a landslide: those there by the reference, those mapped by the map."
    if _cut_scenes(metrics, ("test",)):
        caption += " Pieces of landslides that are cut at the border of the measured tiles count by their own area."
    return Table("Landslides by size", caption, columns, lines)


def source_name(row: dict[str, Any]) -> str:
    """What people call the source of a row."""
    return SOURCE_NAMES.get(row["source"], str(row["source"]))


def _order(row: dict[str, Any]) -> tuple[bool, int, str]:
    order = list(SOURCE_NAMES)
    rank = order.index(row["source"]) if row["source"] in order else len(order)
    return row.get("part") != "test", rank, row["source"]


def _best(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> dict[tuple[str, str], float]:
    """Best value by part and figure, where at least two rows can be compared."""
    best: dict[tuple[str, str], float] = {}
    for key in keys:
        for part in {row.get("part", "test") for row in rows}:
            values = [row[key] for row in rows if row.get("part", "test") == part and row.get(key) is not None]
            if len(values) > 1:
                best[part, key] = max(values)
    return best
