"""Common style and output of all figures, and a placeholder for figures without data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apsam.files import atomic_path

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

DPI = 150
# Text stays text in the SVG, and its ids do not change from run to run.
STYLE: dict[RcKeyType, Any] = {"svg.fonttype": "none", "svg.hashsalt": "apsam", "font.size": 8}
INK = ("#0b5cad", "#b3400a", "#3d7a3a", "#7a4f9a")

# Inches above a grid of pictures, a line of text.
HEAD = 0.25


def save_figure(figure: Figure, output: Path) -> None:
    """Write `figure` as PNG and SVG next to `output`."""
    for suffix, metadata in ((".png", None), (".svg", {"Date": None})):
        with atomic_path(output.with_suffix(suffix)) as partial:
            figure.savefig(partial, metadata=metadata)


def empty_figure(why: str) -> Figure:
    """Write a placeholder for a figure without data, because the workflow expects its file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.5, 1.0), dpi=DPI)
    figure.text(0.5, 0.5, why, ha="center", va="center")
    return figure


def picture_grid(rows: int, titles: list[str], inch: float, lines: int = 1) -> tuple[Figure, np.ndarray]:
    """Make a figure of pictures close together, with a title above each column.

    Args:
        rows: At least one.
        titles: Of the columns.
        inch: Side of a picture.
        lines: Lines of the longest title.

    Returns:
        The figure and its axes, (rows, columns), without ticks and frames.
    """
    from matplotlib.figure import Figure

    head = HEAD + 0.12 * (lines - 1)
    figure = Figure(figsize=(inch * len(titles), inch * rows + head), dpi=DPI)
    axes = figure.subplots(rows, len(titles), squeeze=False)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8 if lines == 1 else 7)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - head / figure.get_figheight(), 0.03, 0.03)
    return figure, axes
