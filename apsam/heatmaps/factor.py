"""How much ground SAM should be shown, by the size of the heat map's regions. No mask is read.

SAM separates an object from what surrounds it. Where a region fills the window, its box is the window and nothing is
left to separate; where it is a few pixels wide, its outline is lost. So the view grows until a typical region spans a
set share of its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from apsam.errors import InputError
from apsam.files import read_json, write_json
from apsam.ground.labels import ALL_LABELS, POSSIBLE
from apsam.ground.raster import Grid, GridReader
from apsam.ground.settings import ViewSettings
from apsam.heatmaps.logits import STEP
from apsam.tiles.windows import tile_windows

SCHEMA = 1


@dataclass(frozen=True)
class ChosenFactor:
    """How the factor of views was chosen.

    Attributes:
        factor: Scene pixels per pixel of a view.
        span: Longer side of the typical region's bounding box, pixels of the scene (median weighted by area); None
            where the factor is given, or where there is no region.
        fill: Share of a view's side that it spans, for each factor tried.
    """

    factor: float
    span: float | None
    fill: dict[str, float]


def choose_factor(
    tiles: Sequence[Path], logits: Sequence[Path], labels: Sequence[Path], threshold: float, settings: ViewSettings
) -> ChosenFactor:
    """The factor of a run's views: that of the settings, or by the regions of its training scenes' heat maps.

    Args:
        tiles, logits, labels: Tile stack, heat map and label map of every training scene.
        threshold: Calibrated threshold of the heat maps, log-odds.
        settings: Factors to choose from, and the share of a view's side that a typical region may span.
    """
    if settings.factor != "auto":
        return ChosenFactor(settings.factor, None, {})
    factors = sorted(settings.factors)
    side = round(settings.size * factors[-1])
    regions = [
        region
        for path, heat, ground in zip(tiles, logits, labels, strict=True)
        for region in _regions(Grid.of_tiles(path), heat, ground, threshold, side)
    ]
    if not regions:
        return ChosenFactor(factors[0], None, {})
    span = _weighted_median(np.array(regions, float))
    fill = {f"{factor:g}": round(span / (settings.size * factor), 3) for factor in factors}
    fitting = [factor for factor in factors if span <= settings.fill * settings.size * factor]
    return ChosenFactor(fitting[0] if fitting else factors[-1], span, fill)


def _regions(grid: Grid, logits: Path, labels: Path, threshold: float, side: int) -> list[tuple[int, int]]:
    """Longer side and area of the regions in windows of the largest view, pixels of the scene."""
    found = []
    with GridReader(logits, grid) as heat, GridReader(labels, grid) as ground:
        for window in tile_windows(grid.height, grid.width, side, side).tolist():
            allowed = ground.read(*window, band=ALL_LABELS) == POSSIBLE
            high = (heat.read(*window) >= round(threshold / STEP)) & allowed
            _, _, stats, _ = cv2.connectedComponentsWithStats(high.astype(np.uint8), connectivity=8)
            for _, _, width, height, area in stats[1:].tolist():
                found.append((max(width, height), area))
    return found


def _weighted_median(regions: np.ndarray) -> float:
    """Median of the first column, weighted by the second."""
    ordered = regions[np.argsort(regions[:, 0], kind="stable")]
    share = np.cumsum(ordered[:, 1]) / ordered[:, 1].sum()
    return float(ordered[np.searchsorted(share, 0.5), 0])


def write_factor(chosen: ChosenFactor, output: Path) -> None:
    """Write the factor and what it was chosen by as JSON."""
    write_json(output, {"schema": SCHEMA, **asdict(chosen)})


def read_factor(path: Path) -> float:
    """The factor of a file that `write_factor` wrote.

    Raises:
        InputError: It is another file.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or "factor" not in content:
        raise InputError(f"{path}: not a factor of views of schema {SCHEMA}; choose it again")
    return float(content["factor"])
