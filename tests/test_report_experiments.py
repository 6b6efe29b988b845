"""Tables and charts of the report: which rows are compared, and what a chart says in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apsam.experiments.table import FIGURES, PART, Column, Experiment, write_experiment
from apsam.experiments.table1 import COLUMNS, published_rows
from apsam.report.experiments import read_experiments
from apsam.report.inputs import Notes
from apsam.report.sizes import area_frequency_chart


def best(folder: Path, name: str, columns: tuple[Column, ...], rows: list[dict[str, Any]]) -> list[str]:
    """Return the marked cells of an experiment's table."""
    write_experiment(Experiment(name, "Title", "held_out", columns, rows), folder / f"experiments/{name}.json")
    [view] = read_experiments(folder, 1000, Notes())
    return [cell.text for row in view.table.rows for cell in row if cell.best]


def test_bounds_and_published_figures_are_not_the_best(tmp_path: Path):
    def row(measured: str, iou: float, remark: str | None = None) -> dict[str, Any]:
        return {"measured": measured, "part": "test", "iou": iou, "remark": remark}

    (tmp_path / "experiments").mkdir()
    rows = [
        row("ResUNet", 0.70),
        row("ResUNet", 0.72),
        row("ResUNet", 0.78, "upper bound: reads reference masks"),
        row("pseudo-mask", 0.74),
        row("pseudo-mask", 0.75),
        *published_rows(),
    ]
    assert best(tmp_path, "table1", COLUMNS, rows) == ["72.0", "75.0"]


def test_rows_of_two_protocols_are_not_compared(tmp_path: Path):
    (tmp_path / "experiments").mkdir()
    columns = (Column("counted", "Protocol"), PART, *FIGURES)
    rows = [{"counted": name, "part": "test", "iou": iou} for name, iou in (("held_out", 0.5), ("held_out", 0.6))]
    rows.append({"counted": "as_released", "part": "test", "iou": 0.7})
    assert best(tmp_path, "released_effects", columns, rows) == ["60.0"]


def test_the_number_of_landslides_is_told_exactly():
    frequency = {"least_m2": [100.0, 177.83], "reference": [12345, 1234], "mapped": [1234, 7]}
    row = {"source": "apsam", "part": "test", "scene": "a", "frequency": frequency}
    _, chart = area_frequency_chart({"rows": [row]})
    assert "Reference: 12345 landslides; APSAM: 1234 landslides" in chart
