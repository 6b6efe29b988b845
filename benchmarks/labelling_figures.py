"""Tables and the plot of the results of `benchmarks.labelling_curve`: means, with the lowest and highest of the seeds.

python -m benchmarks.labelling_figures benchmarks/measured/labelling_curve.json docs/images/labelling_curve.png
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apsam.figures import DPI, INK, STYLE
from apsam.files import atomic_path, read_json
from benchmarks.labelling_curve import GRIDS, LABELS, WRONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = Mapping[str, dict[str, Any]]
WAYS = {"random": "random order", "suggested": "suggested order"}
WHERE = {"f1_labelled": "labelled scenes", "f1_unseen": "other scenes"}


def of_seeds(figures: Figures, start: str) -> list[dict[str, Any]]:
    """Return the measurements whose name is `start` and a seed."""
    return [value for name, value in figures.items() if name.rpartition(" ")[0] == start]


def spread(values: Iterable[float]) -> str:
    """Format mean with lowest and highest: `0.61 (0.58-0.63)`."""
    some = list(values)
    return f"{np.mean(some):.2f} ({min(some):.2f}-{max(some):.2f})" if some else "-"


def curve_rows(figures: Figures) -> list[list[str]]:
    """F1 with a 16th, an eighth, a quarter, half and all of the tiles, by trial, scenes and order."""
    rows = []
    for trial in LABELS:
        curves = of_seeds(figures, f"curve {trial}")
        for key, where in WHERE.items():
            for way, word in WAYS.items():
                points = zip(*(curve[way] for curve in curves), strict=True)
                rows.append([trial, where, word, *(spread(p[key] for p in point) for point in points)])
    return rows


def enough_rows(figures: Figures) -> list[list[str]]:
    """F1 with half of the tiles as a share of F1 with all of them, by trial, scenes and order."""
    rows = []
    for trial in LABELS:
        for key, where in WHERE.items():
            cells = []
            for way in WAYS:
                curves = [curve[way] for curve in of_seeds(figures, f"curve {trial}")]
                cells.append(spread(curve[-2][key] / curve[-1][key] for curve in curves))
            rows.append([trial, where, *cells])
    return rows


def grid_rows(figures: Figures) -> list[list[str]]:
    """F1 on the labelled and on the other scenes, by trial, number of labels, tile size and overlap."""
    rows = []
    for trial, counts in LABELS.items():
        for count in counts:
            for key, where in WHERE.items():
                cells = [
                    spread(p[key] for p in of_seeds(figures, f"grid {trial} {size} {overlap:g} {count}"))
                    for size, overlap in GRIDS
                ]
                rows.append([trial, str(count), where, *cells])
    return rows


def wrong_rows(figures: Figures) -> list[list[str]]:
    """Share of the wrong labels among the first 20 % to check, and F1 before and after they are corrected."""
    rows = []
    for trial in LABELS:
        every = [curve["random"][-1] for curve in of_seeds(figures, f"curve {trial}")]
        for share in WRONG:
            found = of_seeds(figures, f"wrong {trial} {share:g}")
            cells = [spread(one["found"] for one in found)]
            for key in WHERE:
                cells += [spread(one[when][key] for one in found) for when in ("before", "after")]
                cells.append(spread(one[key] for one in every))
            rows.append([trial, f"{share:.0%}", *cells])
    return rows


def draw(figures: Figures, output: Path) -> None:
    """Write the curves of all trials, one panel each, as PNG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    titles = {"A": "scene A labelled, B unseen", "B": "scene B labelled, A unseen", "demo": "four synthetic scenes"}
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.9), dpi=DPI, layout="constrained")
        for axis, (trial, title) in zip(figure.subplots(1, 3, sharey=True), titles.items(), strict=True):
            axis.set_title(title)
            _draw_curves(axis, of_seeds(figures, f"curve {trial}"))
        handles, words = axis.get_legend_handles_labels()
        figure.legend(handles, words, loc="outside lower center", ncols=4, fontsize=7)
        figure.axes[0].set_ylabel("F1 of the map")
        with atomic_path(output) as partial:
            figure.savefig(partial, format="png")


def _draw_curves(axis: Axes, curves: Sequence[dict[str, Any]]) -> None:
    for (way, word), colour in zip(WAYS.items(), INK, strict=False):
        for (key, where), style in zip(WHERE.items(), ("-", ":"), strict=True):
            f1 = np.array([[point[key] for point in curve[way]] for curve in curves])
            looks = np.mean([[point["looks"] for point in curve[way]] for curve in curves], axis=0)
            axis.plot(looks, f1.mean(0), style, color=colour, marker=".", label=f"{word}, {where}")
            axis.fill_between(looks, f1.min(0), f1.max(0), color=colour, alpha=0.12, linewidth=0)
    axis.set(xscale="log", xlabel="tiles looked at", ylim=(0, 0.8))
    ticks = np.mean([[point["looks"] for point in curve["random"]] for curve in curves], axis=0)
    axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axis.minorticks_off()


def main() -> None:
    """Print the tables, and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path, help="what benchmarks.labelling_curve wrote")
    parser.add_argument("plot", type=Path, help="PNG to make")
    given = parser.parse_args()
    figures: Figures = read_json(given.record)["figures"]
    for rows in (curve_rows, enough_rows, grid_rows, wrong_rows):
        print(f"\n{rows.__doc__}")
        for row in rows(figures):
            print("| " + " | ".join(row) + " |")
    draw(figures, given.plot)


if __name__ == "__main__":
    main()
