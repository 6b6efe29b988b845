"""Figures for a paper: PNG and SVG with their data as CSV, in the layout of the paper's Fig. 2 and as curves."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apsam.figures import DPI, INK, STYLE, empty_figure, picture_grid, save_figure
from apsam.files import atomic_path
from apsam.report.colours import PALETTE, compare, rgb
from apsam.report.gallery import COLUMNS, Gallery, GalleryTile
from apsam.report.training import CURVES, Curve, Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS, INCH = 6, 1.15
LINE_STYLES = ("-", "--", "-.", ":")


def write_figures(gallery: Gallery, training: Training, folder: Path) -> list[tuple[str, str]]:
    """Write the figures, those of nothing too; returns names and contents of the others. Each has .png, .svg, .csv."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        return _write(gallery, training, folder)


def _write(gallery: Gallery, training: Training, folder: Path) -> list[tuple[str, str]]:
    made = []
    folder.mkdir(parents=True, exist_ok=True)
    tiles = _spread(gallery)
    save_figure(_tiles_figure(tiles) if tiles else empty_figure("no tile has a score"), folder / "tiles")
    rows = [(t.scene, t.index, t.part, t.judged, f"{t.score:.6f}", t.threshold) for t in tiles]
    _save_rows(folder / "tiles.csv", ("scene", "tile", "part", "judged", "score", "cam_threshold"), rows)
    if tiles:
        made.append(("tiles", "tiles from the worst to the best, in the layout of the paper’s Figs. 2 and 3"))
    for file in CURVES:
        curve = next((one for one in training.curves if one.file == file), None)
        save_figure(_curve_figure(curve) if curve else empty_figure("no training recorded"), folder / file)
        lines = curve.lines if curve else []
        points = [(line.name, x, y) for line in lines for x, y in zip(line.x, line.y, strict=True)]
        _save_rows(folder / f"{file}.csv", ("line", "epoch", "loss"), points)
        if curve:
            made.append((file, f"training loss of the {curve.name}"))
    return made


def _spread(gallery: Gallery) -> list[GalleryTile]:
    """Held-out positive tiles at even steps of their rank, from the worst to the best: not the prettiest ones."""
    positive = [t for t in gallery.tiles if t.score is not None]
    tiles = [t for t in positive if t.part == "test"] or positive
    picks = np.linspace(0, len(tiles) - 1, min(ROWS, len(tiles))).round().astype(int)
    return [tiles[i] for i in picks]


def _tiles_figure(tiles: Sequence[GalleryTile]) -> Figure:
    from matplotlib.patches import Rectangle

    columns = [(key, name) for key, name in COLUMNS if key == "prompts" or any(key in t.pixels for t in tiles)]
    figure, axes = picture_grid(len(tiles), [name for _, name in columns], INCH)
    palette = np.array([rgb(colour) for colour in PALETTE], np.uint8)
    for row, tile in zip(axes, tiles, strict=True):
        reference = tile.pixels.get("truth")
        for axis, (key, _) in zip(row, columns, strict=True):
            pixels = tile.pixels.get("image" if key == "prompts" else key)
            if pixels is None:
                continue
            if key in ("image", "prompts"):
                axis.imshow(pixels)
            elif key == "cam":
                axis.imshow(pixels, cmap="inferno", vmin=0, vmax=255)
            else:
                axis.imshow(palette[compare(pixels, None if key == "truth" else reference)], interpolation="nearest")
            if key == "prompts":
                for prompt in tile.prompts:
                    x0, y0, x1, y1 = prompt.box
                    place = (x0 - 0.5, y0 - 0.5)
                    axis.add_patch(Rectangle(place, x1 - x0, y1 - y0, fill=False, color="white", lw=0.9))
                    axis.plot(*prompt.point, "o", color="#f0e442", ms=2.5, mec="black", mew=0.4)
    return figure


def _curve_figure(curve: Curve) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(3.5, 2.2), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    for index, line in enumerate(curve.lines):
        ink, style = INK[index % len(INK)], LINE_STYLES[index % len(LINE_STYLES)]
        axis.plot(line.x, line.y, label=line.name, color=ink, ls=style, lw=1.2, marker="o", ms=2)
    axis.set(xlabel="epoch", ylabel="training loss", ylim=(0, None), title=curve.name)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    if len(curve.lines) > 1:
        axis.legend(frameon=False)
    return figure


def _save_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
