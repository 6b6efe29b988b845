"""Cross-validation of the labels: networks trained without the labels of one fold of the tiles score that fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from apsam.files import scratch_folder
from apsam.ground.labels import make_ground_labels
from apsam.ground.raster import Grid, GridReader
from apsam.heatmaps.logits import NO_DATA, STEP, make_logits
from apsam.heatmaps.settings import HeatMapSettings
from apsam.heatmaps.train import train_heat_network
from apsam.stack import TileStack
from apsam.tiles.label_errors import LabelErrors, choose_label_errors
from apsam.tiles.labels import tile_name
from apsam.tiles.parts import TRAIN

# Score of a tile: the log-odds that this share of its pixels exceed.
TOP_SHARE = 0.05
# Seed of the division into folds.
SEED = 0


def tiles_of_fold(tiles: Sequence[Path], fold: int, folds: int) -> dict[str, list[str]]:
    """Return scene -> names of the tiles of one fold.

    All training tiles of the stacks are divided together, at random with a fixed seed.
    """
    found: dict[str, list[str]] = {}
    places = [(scene, name) for path in tiles for scene, name, *_ in _training_tiles(path)]
    drawn = np.random.default_rng(SEED).permutation(len(places)) % folds
    for (scene, name), number in zip(places, drawn, strict=True):
        if number == fold:
            found.setdefault(scene, []).append(name)
    return found


def train_fold_network(
    images: Sequence[Path],
    tiles: Sequence[Path],
    fold: int,
    settings: HeatMapSettings,
    output: Path,
    history: Path,
    seed: int = 1,
    device: str = "auto",
) -> None:
    """Train one network without the labels of one fold of the training tiles.

    Args:
        images, tiles: Rasters and their tile stacks.
        fold: Number of the fold, 0 to `settings.folds - 1`.
        settings, output, history, seed, device: As for `apsam.heatmaps.train.train_heat_network`.

    Raises:
        InputError: Files do not match, or there are too few tiles.
    """
    left_out = tiles_of_fold(tiles, fold, settings.folds)
    with scratch_folder(output, "labels") as folder:
        labels = [folder / f"{number}.tif" for number in range(len(tiles))]
        for path, label_map in zip(tiles, labels, strict=True):
            make_ground_labels([path], label_map, left_out)
        train_heat_network(images, tiles, labels, settings, output, history, seed, device)


def find_label_errors(
    images: Sequence[Path],
    tiles: Sequence[Path],
    networks: Sequence[Path],
    settings: HeatMapSettings,
    scratch_next_to: Path,
    device: str = "auto",
) -> LabelErrors:
    """Find the negative training tiles of some scenes that score like positive ones.

    Args:
        images, tiles: Rasters and their tile stacks, in the order in which the networks were trained.
        networks: Weights of `train_fold_network`, one for each fold, in order.
        settings: Overlap and flips of the predictions.
        scratch_next_to: A file; predictions are temporary files next to it.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Raises:
        InputError: Images and tiles do not match, or weights cannot be used.
    """
    names: list[tuple[str, str]] = []
    labels: list[int] = []
    scores: list[float] = []
    for fold, network in enumerate(networks):
        own = tiles_of_fold(tiles, fold, len(networks))
        for image, path in zip(images, tiles, strict=True):
            with scratch_folder(scratch_next_to, f"fold{fold}") as folder:
                make_logits(path, image, [network], settings, folder / "logits.tif", device)
                with GridReader(folder / "logits.tif", Grid.of_tiles(path)) as raster:
                    for scene, name, label, window in _training_tiles(path):
                        if name in own.get(scene, ()):
                            names.append((scene, name))
                            labels.append(label)
                            scores.append(tile_score(raster.read(*window)))
    return choose_label_errors(names, np.array(scores), np.array(labels))


def tile_score(steps: np.ndarray) -> float:
    """Return the score of a tile, log-odds, from a heat map's stored steps; NaN without data."""
    known = steps[steps != NO_DATA]
    return float(np.quantile(known, 1 - TOP_SHARE)) * STEP if len(known) else np.nan


def _training_tiles(path: Path) -> Iterator[tuple[str, str, int, list[int]]]:
    """Scene, name, label and window of the training tiles of a stack."""
    with TileStack(path) as stack:
        scene = stack.attributes["scene"]
        windows, labels, parts = (stack.read(name) for name in ("window", "label", "part"))
    for window, label, part in zip(windows.tolist(), labels.tolist(), parts.tolist(), strict=True):
        if part == TRAIN:
            yield scene, tile_name(*window[:2]), label, window
