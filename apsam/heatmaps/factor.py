"""Select the size of the area in SAM's views, by the share of a view that the heat map covers. No mask is read.

SAM separates an object from its surroundings. If the heat map fills the view, so does SAM's box, and there are no
surroundings; but the larger the area of a view, the coarser is the outline. So the factor is increased until the heat
map covers at most `views.covered` of a typical view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from apsam.files import read_record, write_json
from apsam.ground.labels import POSSIBLE, TRAINING_LABELS
from apsam.ground.raster import Grid, GridReader
from apsam.ground.settings import ViewSettings
from apsam.heatmaps.logits import DTYPE, STEP
from apsam.tiles.windows import tile_windows

SCHEMA = 1


@dataclass(frozen=True)
class ChosenFactor:
    """Result of selecting the factor of views.

    Attributes:
        factor: Scene pixels per pixel of a view.
        covered: For each factor tried, the share of a view that the heat map covers: median over the views, each
            weighted by this share, so that views of large landslides have more weight.
    """

    factor: float
    covered: dict[str, float]


def choose_factor(
    tiles: Sequence[Path], logits: Sequence[Path], labels: Sequence[Path], threshold: float, settings: ViewSettings
) -> ChosenFactor:
    """Return the factor of a run's views: that of the settings, or selected by the heat maps of its training scenes.

    Args:
        tiles, logits, labels: Tile stack, heat map and label map of every training scene.
        threshold: Calibrated threshold of the heat maps, log-odds.
        settings: Candidate factors, and the largest share of a view that may be covered.
    """
    if settings.factor != "auto":
        return ChosenFactor(settings.factor, {})
    factors, covered = sorted(settings.factors), {}
    for factor in factors:
        side, step = settings.on_ground(factor)
        shares = np.array(
            [
                share
                for path, heat, ground in zip(tiles, logits, labels, strict=True)
                for share in _shares(Grid.of_tiles(path), heat, ground, threshold, side, step)
            ]
        )
        covered[factor] = round(_weighted_median(shares), 4) if len(shares) else 0.0
        if covered[factor] <= settings.covered:
            break
    # The last one tried is the first that fits, or the largest candidate.
    return ChosenFactor(factor, {f"{factor:g}": share for factor, share in covered.items()})


def _shares(grid: Grid, logits: Path, labels: Path, threshold: float, side: int, step: int) -> Iterator[float]:
    """Yield the share of every view that the heat map covers, of those where it covers any possible landslide."""
    least = round(threshold / STEP)
    with GridReader(logits, grid, DTYPE) as heat, GridReader(labels, grid) as ground:
        for window in tile_windows(grid.height, grid.width, side, step).tolist():
            high = heat.read(*window) >= least
            share = (high & (ground.read(*window, band=TRAINING_LABELS) == POSSIBLE)).mean() if high.any() else 0
            if share:
                yield float(share)


def _weighted_median(values: np.ndarray) -> float:
    """Return the median of values, each weighted by itself."""
    ordered = np.sort(values)
    return float(ordered[np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)])


def write_factor(chosen: ChosenFactor, output: Path) -> None:
    """Write the factor and the data of its selection as JSON."""
    write_json(output, {"schema": SCHEMA, **asdict(chosen)})


def read_factor(path: Path) -> float:
    """Read the factor from a file of `write_factor`.

    Raises:
        InputError: It is not such a file.
    """
    return float(read_record(path, SCHEMA, ["factor"], "a factor of views")["factor"])
