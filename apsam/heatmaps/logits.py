"""The heat map of a scene: mean log-odds of several networks, as a raster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from apsam.conditions import check_tiles
from apsam.ground.raster import BLOCK, Grid, GridWriter
from apsam.heatmaps.settings import HeatMapSettings
from apsam.maps.settings import MapSettings
from apsam.resunet.predict import Predictor, blended_rows
from apsam.sam.windows import open_scene_of
from apsam.stack import TileStack

# Log-odds are stored as int16 in steps of a hundredth, clipped at those of a probability of 1e-5.
STEP, LIMIT, NO_DATA, DTYPE = 0.01, 11.5, -32768, "int16"
LEAST = 1e-5

# Tag of the agreement of the networks.
AGREEMENT = "APSAM_AGREEMENT"


def make_logits(
    tiles: Path, image: Path, networks: Sequence[Path], settings: HeatMapSettings, output: Path, device: str = "auto"
) -> None:
    """Write the mean log-odds of some networks over a scene: int16 in steps of 0.01, -32768 no data.

    The tag `APSAM_AGREEMENT` is the mean correlation of the networks' log-odds.

    Scene rows are read and predicted as for maps; one band of windows per network is in memory.

    Args:
        tiles: Tile stack of the scene: bands, stretch and tile size.
        image: The raster of the tiles.
        networks: Weights of ResUNets trained on the label map.
        settings: Overlap and flips.
        output: GeoTIFF to make, on the scene's grid.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Raises:
        InputError: Image and tiles do not match, or weights cannot be used or were trained on tiles that were read in
            another way.
    """
    grid = Grid.of_tiles(tiles)
    maps = MapSettings(overlap=settings.overlap, flips=settings.flips)
    with ExitStack() as opened:
        stack = opened.enter_context(TileStack(tiles))
        size = int(stack.attributes["tile_size"])
        predictors = [Predictor(path, maps, device) for path in networks]
        for predictor in predictors:
            check_tiles(predictor.conditions, stack.attributes["made_by"]["tiles"], predictor.weights)
        tags = {"APSAM_MODEL": ", ".join(predictor.name for predictor in predictors)}
        writer = opened.enter_context(_RowsWriter(output, grid, tags))
        scene = opened.enter_context(open_scene_of(stack, image))
        rows = [blended_rows(scene, predictor, size, maps, grid.scene) for predictor in predictors]
        correlation = Correlation(len(networks))
        for several in zip(*rows, strict=True):
            row, odds = several[0][0], np.stack([log_odds(values) for _, values in several])
            correlation.add(odds)
            writer.add(row, to_steps(odds.mean(axis=0)))
        if (agreement := correlation.mean()) is not None:
            writer.add_tags({AGREEMENT: f"{agreement:.4f}"})


class Correlation:
    """Mean correlation of the log-odds of several networks over a scene, some rows at a time.

    Args:
        networks: Number of networks.
    """

    def __init__(self, networks: int) -> None:
        self._count = 0
        self._sums, self._products = np.zeros(networks), np.zeros((networks, networks))

    def add(self, odds: np.ndarray) -> None:
        """Add (networks, rows, width) log-odds; NaN is no data."""
        values = odds[:, np.isfinite(odds).all(axis=0)].astype(np.float64)
        self._count += values.shape[1]
        self._sums += values.sum(axis=1)
        self._products += values @ values.T

    def mean(self) -> float | None:
        """Return the mean over all pairs of networks, 0 for a pair with a constant network; None with one network."""
        if len(self._sums) < 2 or not self._count:
            return None
        means = self._sums / self._count
        covariance = self._products / self._count - np.outer(means, means)
        deviation = np.sqrt(np.diag(covariance).clip(0))
        # A network that varies by less than a stored step learned nothing.
        scale = np.where(deviation >= STEP, deviation, np.inf)
        pairs = np.triu_indices(len(means), 1)
        return float((covariance / np.outer(scale, scale))[pairs].mean())


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Convert probabilities to log-odds, clipped at 1e-5 from both ends; NaN stays NaN."""
    cut = np.clip(probability, LEAST, 1 - LEAST)
    return np.log(cut / (1 - cut))


def to_steps(logits: np.ndarray) -> np.ndarray:
    """Convert log-odds to int16 steps of 0.01; NaN to -32768."""
    known = np.isfinite(logits)
    steps = np.full(logits.shape, NO_DATA, np.int16)
    steps[known] = np.rint(np.clip(logits[known], -LIMIT, LIMIT) / STEP).astype(np.int16)
    return steps


class _RowsWriter:
    """Collect rows until a whole row of blocks can be written, so that blocks are compressed only once."""

    def __init__(self, path: Path, grid: Grid, tags: dict[str, str]) -> None:
        self._writer = GridWriter(path, grid, ("mean log-odds x 100",), DTYPE, NO_DATA, tags)
        self._height = grid.height
        self._waiting: list[np.ndarray] = []
        self._first = 0

    def __enter__(self) -> _RowsWriter:
        self._writer.__enter__()
        return self

    def add(self, row: int, values: np.ndarray) -> None:
        """Add rows, which follow those added before."""
        self._waiting.append(values)
        held = np.concatenate(self._waiting) if row + len(values) >= min(self._first + BLOCK, self._height) else None
        if held is None:
            return
        whole = len(held) if row + len(values) >= self._height else len(held) // BLOCK * BLOCK
        self._writer.write(self._first, held[None, :whole])
        self._first += whole
        self._waiting = [held[whole:]]

    def add_tags(self, tags: dict[str, str]) -> None:
        """Store more strings with the raster."""
        self._writer.add_tags(tags)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)
