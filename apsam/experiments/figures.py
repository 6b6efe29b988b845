"""Figures of the experiments, PNG and SVG next to the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apsam.experiments.table import Experiment
from apsam.experiments.table1 import MASK_NAMES
from apsam.experiments.variants import APSAM
from apsam.figures import DPI, INK, STYLE, empty_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

PART_NAMES = {"train": "training tiles", "test": "held-out tiles"}
LINE_STYLES = {"test": "-", "train": "--"}


def draw_threshold_sweep(experiment: Experiment, output: Path) -> None:
    """Plot IoU over thresholds, one line per source and part, as in the paper's Fig. 5; mark the selected threshold."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.0), dpi=DPI, layout="constrained")
        for axis, (key, title) in zip(
            figure.subplots(1, 2, sharex=True), (("iou", "IoU"), ("mean_iou", "mean IoU of a tile")), strict=True
        ):
            _draw_sweep(axis, experiment.rows, key)
            axis.set(xlabel="CAM threshold", ylabel=f"{title} (%)", ylim=(0, None))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=7)
        save_figure(figure, output)


def _draw_sweep(axis: Axes, rows: Sequence[dict[str, Any]], key: str) -> None:
    for source, ink, name in (("apsam", INK[0], "APSAM"), ("cam", INK[1], "CAM alone")):
        for part, style in LINE_STYLES.items():
            line = [r for r in rows if r["source"] == source and r["part"] == part and r.get(key) is not None]
            fixed = [(r["threshold"], 100 * r[key]) for r in line if isinstance(r["threshold"], int)]
            if not fixed:
                continue
            label: str | None = f"{name}, {PART_NAMES[part]}"
            axis.plot(*zip(*fixed, strict=True), style, color=ink, lw=1.2, marker="o", ms=2.5, label=label)
            for row in line:
                if row.get("selected"):
                    label = "selected without labels" if part == "test" else None
                    axis.plot(row["threshold"], 100 * row[key], "*", color=INK[2], ms=9, zorder=3, label=label)
                elif not isinstance(row["threshold"], int):
                    label = "selected tile by tile" if part == "test" else None
                    axis.axhline(100 * row[key], color=INK[2], lw=0.8, ls=":" if part == "test" else "-.", label=label)
    axis.spines[["top", "right"]].set_visible(False)


def draw_methods(experiment: Experiment, output: Path) -> None:
    """Plot IoU of Table 1's localization methods, one panel each for own maps, APSAM with their prompts, bounds.

    Args:
        experiment: From `apsam.experiments.table1`; published rows are left out.
        output: The JSON file of the experiment.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = [row for row in experiment.rows if row["part"] in PART_NAMES and row.get("iou") is not None]
    methods = list(dict.fromkeys(row["method"] for row in rows if row["method"]))
    panels = list(dict.fromkeys((row["measured"], row["part"]) for row in rows))
    if not panels:
        save_figure(empty_figure("nothing measured"), output)
        return
    with rc_context(STYLE):
        size = (1.2 + 3.0 * len(panels), 1.2 + 0.32 * len(methods))
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, panel in zip(axes, panels, strict=True):
            _draw_methods(axis, [row for row in rows if (row["measured"], row["part"]) == panel], methods)
            axis.set(title=f"{panel[0]}, {PART_NAMES[panel[1]]}", xlabel="IoU (%)", xlim=(0, 100))
        found: dict[str, Artist] = {}
        for axis in axes:
            handles, labels = axis.get_legend_handles_labels()
            found |= dict(zip(labels, handles, strict=True))
        figure.legend(
            list(found.values()), list(found), loc="outside lower center", ncols=len(found), frameon=False, fontsize=7
        )
        save_figure(figure, output)


def _draw_methods(axis: Axes, rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> None:
    height = 0.4
    for kind, shift, ink in ((MASK_NAMES["cam_agreed"], -height / 2, INK[1]), (MASK_NAMES[APSAM], height / 2, INK[0])):
        own = [row for row in rows if row["masks"] == kind]
        axis.barh(
            [methods.index(row["method"]) + shift for row in own], [100 * row["iou"] for row in own], height,
            xerr=[100 * (row.get("iou_std") or 0) for row in own], error_kw={"lw": 0.8}, color=ink, label=kind,
        )  # fmt: skip
    for source, style in (("truth", "--"), ("box", ":")):
        for row in rows:
            if row["masks"] == MASK_NAMES[source]:
                axis.axvline(100 * row["iou"], color="0.3", lw=0.9, ls=style, label=row["masks"])
    axis.set_yticks(range(len(methods)), methods)
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.spines[["top", "right"]].set_visible(False)


def draw_bars(experiment: Experiment, key: str, names: Sequence[str], output: Path) -> None:
    """Plot bars of one metric, a group for each row's `names`, a bar for each part.

    Args:
        experiment: Its rows have `part`; those without a value are left out.
        key: The metric, a share.
        names: Keys of the rows that name a group.
        output: The JSON file of the experiment.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    title = next(column.title for column in experiment.columns if column.key == key)
    values: dict[str, dict[str, tuple[float, float]]] = {}
    for row in experiment.rows:
        if row.get(key) is not None:
            group = ", ".join(str(row[name]) for name in names if row.get(name) is not None)
            values.setdefault(group, {})[row["part"]] = (row[key], row.get(f"{key}_std") or 0.0)
    parts = [part for part in LINE_STYLES if any(part in group for group in values.values())]
    with rc_context(STYLE):
        figure = Figure(figsize=(5.0, 0.6 + 0.32 * max(1, len(values))), dpi=DPI, layout="constrained")
        axis = figure.subplots()
        height = 0.8 / max(1, len(parts))
        for number, part in enumerate(parts):
            places = [i + (number - (len(parts) - 1) / 2) * height for i, group in enumerate(values.values())]
            pairs = [group.get(part, (0.0, 0.0)) for group in values.values()]
            errors = [100 * spread for _, spread in pairs]
            axis.barh(
                places, [100 * value for value, _ in pairs], height, color=INK[number], label=PART_NAMES[part],
                xerr=errors if any(errors) else None, error_kw={"lw": 0.8},
            )  # fmt: skip
        axis.set_yticks(range(len(values)), list(values))
        axis.set_ylim(max(1, len(values)) - 0.4, -0.6)
        axis.set(xlabel=f"{title} (%)", xlim=(0, None))
        axis.spines[["top", "right"]].set_visible(False)
        if len(parts) > 1:
            axis.legend(frameon=False, fontsize=7)
        save_figure(figure, output)
