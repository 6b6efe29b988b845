"""Train the networks of heat maps from labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apsam.ground.labels import PROBABILITY, TRAINING_LABELS, has_probability
from apsam.ground.raster import GridReader
from apsam.heatmaps.settings import HeatMapSettings
from apsam.resunet.crops import TrainingScene
from apsam.resunet.train import train_on_scenes
from apsam.training.length import HEATMAP_STEPS


def train_heat_network(
    images: Sequence[Path],
    tiles: Sequence[Path],
    labels: Sequence[Path],
    settings: HeatMapSettings,
    output: Path,
    history: Path,
    seed: int = 1,
    device: str = "auto",
) -> None:
    """Train one network on the label maps of some scenes, with the labels of training tiles only.

    Of a label map with probabilities, these are the target: the network then learns their mean over ground that looks
    alike.

    Args:
        images: Rasters.
        tiles: Their tile stacks.
        labels: Their label maps (`apsam.ground.labels`).
        settings: Length of the training.
        output, history, seed, device: As for `apsam.resunet.train.train_on_scenes`.

    Raises:
        InputError: Files do not match, or there are too few tiles.
    """
    scenes = [TrainingScene(*three, band=_band(three[2])) for three in zip(images, tiles, labels, strict=True)]
    train_on_scenes(scenes, settings.network(), output, history, seed, device, least_steps=HEATMAP_STEPS)


def _band(labels: Path) -> int:
    with GridReader(labels) as raster:
        return PROBABILITY if has_probability(raster) else TRAINING_LABELS
