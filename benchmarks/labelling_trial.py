"""Scenes, simulated labels, and a map from labels within seconds, for `benchmarks.labelling_curve`.

Features of the frozen EfficientNet-Lite0 are computed once for each scene. Two heads like the localizer's are trained
on them with image-level labels: one on the labels of tiles through the mean of its highest scores (the localizer), the
other on the label map (as `apsam.heatmaps` does with a ResUNet), which predicts the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import rasterio
import torch
from affine import Affine
from torch import Tensor, nn
from torch.nn import functional

from apsam.heatmaps.calibrate import CANDIDATES, choose_threshold
from apsam.labelling.tile_outputs import TileOutputs, top_mean
from apsam.localizer.model import PIXEL_STAGES, Localizer
from apsam.localizer.settings import LocalizerSettings
from apsam.metrics.counts import Counts
from apsam.synthetic.scene import make_scene
from apsam.synthetic.settings import SyntheticSettings
from apsam.tiles.labels import UNLABELLED, tile_name
from apsam.tiles.outlines import outlines
from apsam.tiles.settings import TileSettings
from apsam.tiles.windows import tile_windows

CELL = 8  # pixels of the scene per cell of the features
PATCH, MARGIN = 512, 64  # features are computed patch by patch, with some surroundings
PRESENT = 0.005  # share of landslide from which a tile is positive
LEAST_KNOWN = 0.5
NETWORKS = 3  # their logits are averaged, as in `apsam.heatmaps`
THINNED = 3  # the localizer is trained on every third cell of a tile

Labels = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Ground:
    """A scene.

    Attributes:
        name: Of the scene.
        reference: (H, W) uint8 {0, 1, 255}.
        valid: (H, W) bool.
        features: (h, w, C) float16, a cell every 8 pixels.
    """

    name: str
    reference: np.ndarray
    valid: np.ndarray
    features: np.ndarray

    @cached_property
    def seen(self) -> np.ndarray:
        """(h, w) bool, cells whose middle has data."""
        middle = slice(CELL // 2, None, CELL)
        return self.valid[middle, middle][: self.features.shape[0], : self.features.shape[1]]


@dataclass(frozen=True, eq=False)
class TiledGround:
    """A scene in tiles, with the simulated label of each; tiles with unknown labels are left out."""

    ground: Ground
    windows: np.ndarray
    answers: np.ndarray

    @property
    def names(self) -> list[str]:
        """Identifiers of the tiles, different for all scenes."""
        return [f"{self.ground.name}/{tile_name(row, col)}" for row, col, _, _ in self.windows.tolist()]


def read_ground(name: str, image: Path, mask: Path, network: Localizer) -> Ground:
    """A scene of two files."""
    with rasterio.open(image) as raster, rasterio.open(mask) as reference:
        return _ground(name, raster.read([1, 2, 3]), reference.read(1), raster.dataset_mask() > 0, network)


def synthetic_ground(name: str, network: Localizer) -> Ground:
    """A synthetic scene with the settings of the demo."""
    scene = make_scene(name, SyntheticSettings())
    return _ground(name, np.moveaxis(scene.image, -1, 0), scene.mask, scene.valid, network)


def _ground(name: str, image: np.ndarray, mask: np.ndarray, valid: np.ndarray, network: Localizer) -> Ground:
    known = np.where(valid, mask, 255).astype(np.uint8)
    return Ground(name, known, valid, _features(image, network))


@torch.inference_mode()
def _features(image: np.ndarray, network: Localizer) -> np.ndarray:
    """Compute (H / 8, W / 8, C) float16 from (3, H, W) uint8: the stages that the localizer's head reads."""
    height, width = (side // CELL * CELL for side in image.shape[1:])
    padded = np.pad(image, ((0, 0), (MARGIN, MARGIN + PATCH), (MARGIN, MARGIN + PATCH)), mode="reflect")
    inside = slice(MARGIN // CELL, (MARGIN + PATCH) // CELL)
    rows = []
    for top in range(0, height, PATCH):
        row = []
        for left in range(0, width, PATCH):
            patch = padded[:, top : top + PATCH + 2 * MARGIN, left : left + PATCH + 2 * MARGIN]
            stages = network.features(torch.from_numpy(patch.copy())[None])
            grid = (patch.shape[1] // CELL, patch.shape[2] // CELL)
            maps = [functional.interpolate(stages[i].float(), grid, mode="bilinear") for i in PIXEL_STAGES]
            row.append(torch.cat(maps, 1)[0, :, inside, inside].permute(1, 2, 0).half().numpy())
        rows.append(np.concatenate(row, 1))
    return np.concatenate(rows)[: height // CELL, : width // CELL].copy()


def feature_network() -> Localizer:
    """Return the localizer's backbone with its ImageNet weights."""
    return Localizer(LocalizerSettings()).eval()


def in_tiles(ground: Ground, size: int, overlap: float) -> TiledGround:
    """Cut a scene as the workflow does, and label tiles with at least 0.5 % landslide as positive."""
    settings = TileSettings(size=size, overlap=overlap)
    kept, answers = [], []
    for window in tile_windows(*ground.valid.shape, settings.size, settings.stride).tolist():
        row, col, height, width = window
        tile = ground.reference[row : row + height, col : col + width]
        landslide = np.count_nonzero(tile == 1) >= PRESENT * tile.size
        valid = ground.valid[row : row + height, col : col + width].mean() >= settings.min_valid
        if valid and (landslide or (tile != 255).mean() >= LEAST_KNOWN * settings.min_valid):
            kept.append(window)
            answers.append(int(landslide))
    return TiledGround(ground, np.array(kept), np.array(answers, np.uint8))


@dataclass(frozen=True, eq=False)
class Trial:
    """Scenes that are labelled, and scenes that are only mapped."""

    name: str
    labelled: Sequence[TiledGround]
    unseen: Sequence[Ground]

    @cached_property
    def reference(self) -> dict[str, int]:
        """Return the simulated labels of all tiles."""
        return {
            name: int(label) for tiled in self.labelled for name, label in zip(tiled.names, tiled.answers, strict=True)
        }


class Head(nn.Module):
    """The localizer's head on cells: features (n, C), standardised, to logits (n)."""

    def __init__(self, sample: Tensor, hidden: int = 64) -> None:
        super().__init__()
        self.mean, self.deviation = sample.mean(0), sample.std(0) + 1e-6
        self.layers = nn.Sequential(
            nn.Linear(sample.shape[1], hidden), nn.ReLU(), nn.Dropout(0.3), nn.Linear(hidden, 1)
        )

    def forward(self, cells: Tensor) -> Tensor:
        return self.layers((cells.float() - self.mean) / self.deviation)[:, 0]


def train_maps(trial: Trial, labels: Labels, seed: int) -> list[Head]:
    """Heads of several seeds, whose logits are averaged."""
    return [train_map(trial, labels, NETWORKS * seed + number) for number in range(NETWORKS)]


def mean_logits(heads: Sequence[Head], ground: Ground) -> np.ndarray:
    """(h, w) float32 of all cells."""
    return np.mean([logits_of(head, ground) for head in heads], axis=0)


@torch.inference_mode()
def logits_of(head: Head, ground: Ground) -> np.ndarray:
    """(h, w) float32 of all cells."""
    height, width, channels = ground.features.shape
    cells = torch.from_numpy(ground.features).view(-1, channels)
    return torch.cat([head.eval()(part) for part in cells.split(16384)]).view(height, width).numpy()


def label_map(tiled: TiledGround, labels: Labels) -> np.ndarray:
    """Return (h, w) uint8: 0 in a tile labelled negative, 1 where all labelled tiles are positive, else 255."""
    free, covered = (np.zeros(tiled.ground.seen.shape, bool) for _ in range(2))
    for name, window in zip(tiled.names, tiled.windows, strict=True):
        if name in labels:
            covered[cells_of(window)] = True
            if labels[name] == 0:
                free[cells_of(window)] = True
    return np.where(covered & tiled.ground.seen, ~free, 255).astype(np.uint8)


def cells_of(window: Sequence[int]) -> tuple[slice, slice]:
    """Return cells whose centre is in a window of pixels."""
    row, col, height, width = (int(value) for value in window)
    half = CELL // 2 - 1
    return (
        slice((row + half) // CELL, (row + height + half) // CELL),
        slice((col + half) // CELL, (col + width + half) // CELL),
    )


def train_map(trial: Trial, labels: Labels, seed: int, steps: int = 80, batch: int = 512) -> Head:
    """Train a head on the label map."""
    cells, targets = [], []
    for tiled in trial.labelled:
        said = label_map(tiled, labels)
        cells.append(torch.from_numpy(tiled.ground.features[said != 255]))
        targets.append(torch.from_numpy(said[said != 255].astype(np.float32)))
    every, target = torch.cat(cells), torch.cat(targets)
    torch.manual_seed(seed)
    head = Head(every[torch.randperm(len(every))[:4096]].float())
    optimizer, schedule = _optimizer(head, steps)
    for _ in range(steps):
        selected = torch.randint(len(every), (batch,))
        loss = functional.binary_cross_entropy_with_logits(head(every[selected]), target[selected])
        _step(optimizer, schedule, loss)
    return head


def train_localizer(trial: Trial, labels: Labels, seed: int, steps: int = 120, batch: int = 8) -> Head:
    """Train a head whose highest 5 % of a tile's cells predict the tile's label, both labels equally often."""
    tiles: dict[int, list[Tensor]] = {0: [], 1: []}
    for tiled in trial.labelled:
        seen = tiled.ground.seen
        for name, window in zip(tiled.names, tiled.windows, strict=True):
            if name in labels:
                place = cells_of(window)
                tiles[labels[name]].append(torch.from_numpy(tiled.ground.features[place][seen[place]][::THINNED]))
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    sample = torch.cat([tile[:: max(1, len(tile) // 64)] for both in tiles.values() for tile in both]).float()
    head = Head(sample)
    optimizer, schedule = _optimizer(head, steps)
    for _ in range(steps):
        wanted = np.arange(batch) % 2
        chosen = [tiles[label][generator.integers(len(tiles[label]))] for label in wanted]
        scores = torch.stack([_strongest(part) for part in head(torch.cat(chosen)).split([len(t) for t in chosen])])
        target = torch.from_numpy(wanted.astype(np.float32))
        _step(optimizer, schedule, functional.binary_cross_entropy_with_logits(scores, target))
    return head


def _strongest(logits: Tensor) -> Tensor:
    return logits.topk(max(1, round(0.05 * len(logits)))).values.mean()


def _optimizer(head: Head, steps: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.05)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)


def _step(optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()


def calibrated(trial: Trial, labels: Labels, logits: Sequence[np.ndarray]) -> float:
    """Return the threshold at which the maps agree best with the labels (`apsam.heatmaps.calibrate`)."""
    shares, given = [], []
    for tiled, heat in zip(trial.labelled, logits, strict=True):
        for name, window in zip(tiled.names, tiled.windows, strict=True):
            place = cells_of(window)
            values = np.sort(heat[place][tiled.ground.seen[place]])
            if name in labels and len(values):
                shares.append(1 - np.searchsorted(values, CANDIDATES) / len(values))
                given.append(labels[name])
    return choose_threshold(np.array(shares), np.array(given), PRESENT)[0]


def counts(ground: Ground, logits: np.ndarray, threshold: float, free: np.ndarray | None = None) -> Counts:
    """Count pixels of the map against the reference; `free` (h, w) empties it."""
    height, width = (side * CELL for side in logits.shape)
    found = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR) >= threshold
    if free is not None:
        found &= ~cv2.resize(free.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
    reference = ground.reference[:height, :width]
    known = reference != 255
    return Counts.of(found[known].astype(np.uint8), reference[known])


def evidence(trial: Trial, labels: Labels, localizer: Head, logits: Sequence[np.ndarray]) -> list[TileOutputs]:
    """Return scores of localizer and map for every tile, as `apsam suggest` reads them from a run."""
    found = []
    for tiled, heat in zip(trial.labelled, logits, strict=True):
        raw = torch.from_numpy(logits_of(localizer, tiled.ground))
        members: dict[str, list[float]] = {"localizer": [], "map": []}
        for window in tiled.windows:
            place = cells_of(window)
            seen = tiled.ground.seen[place]
            members["localizer"].append(float(_strongest(raw[place][torch.from_numpy(seen)]).sigmoid()))
            members["map"].append(top_mean(1 / (1 + np.exp(-heat[place][seen]))))
        given = np.array([labels.get(name, UNLABELLED) for name in tiled.names], np.uint8)
        boxes = outlines(Affine.identity(), tiled.windows)
        opinions = {word: np.array(values) for word, values in members.items()}
        found.append(TileOutputs(tiled.ground.name, tiled.names, given, boxes, opinions))
    return found
