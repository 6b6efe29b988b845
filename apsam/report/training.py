"""How the networks of a run were trained: their losses, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from apsam.report.charts import Line, line_chart
from apsam.report.inputs import SOURCE_NAMES, Notes, load_json, map_sources

# Names of the curves' files.
CURVES = ("localizer_loss", "resunet_loss")

NO_LOSS = ("epoch", "learning_rate")


@dataclass(frozen=True)
class Curve:
    """Losses of one network, or of two that are compared.

    Attributes:
        name: Title, and name of its figure files.
        lines: Line by loss or network.
        chart: As SVG.
    """

    name: str
    file: str
    lines: list[Line]
    chart: Markup


@dataclass(frozen=True)
class Training:
    """Curves of a run, and how well the localizer knows the labels of held-out tiles (None: not recorded)."""

    curves: list[Curve]
    accuracy: float | None
    auc: float | None


def read_training(run: Path, notes: Notes) -> Training:
    """Read the histories that are there; those missing are noted."""
    curves = []
    localizer = load_json(run / "localizer/history.json", "training of the localizer", notes) or {}
    epochs = localizer.get("epochs", [])
    names = sorted({key for epoch in epochs for key in epoch if key not in NO_LOSS})
    lines = [line for line in (_line(name, epochs, name) for name in names) if line.x]
    if lines:
        curves.append(_curve("Localizer", CURVES[0], lines))
    lines = []
    for source in map_sources(run):
        what = f"training of the ResUNet from {SOURCE_NAMES[source]} masks"
        history = load_json(run / f"resunet/{source}/history.json", what, notes)
        if history:
            lines.append(_line(f"{SOURCE_NAMES[source]} masks", history.get("epochs", []), "loss"))
    lines = [line for line in lines if line.x]
    if lines:
        curves.append(_curve("ResUNet", CURVES[1], lines))
    test = load_json(run / "metrics/localizer.json", "accuracy of the localizer", notes) or {}
    return Training(curves, test.get("accuracy"), test.get("auc"))


def _line(name: str, epochs: list[dict[str, Any]], key: str) -> Line:
    points = [(epoch["epoch"], epoch[key]) for epoch in epochs if key in epoch and "epoch" in epoch]
    return Line(name, [x for x, _ in points], [y for _, y in points])


def _curve(name: str, file: str, lines: list[Line]) -> Curve:
    ends = "; ".join(f"{line.name} from {line.y[0]:.3g} to {line.y[-1]:.3g}" for line in lines)
    return Curve(name, file, lines, line_chart(lines, "epoch", "training loss", f"Training loss of the {name}: {ends}"))
