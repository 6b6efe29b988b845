"""Find tiles labelled negative by mistake, by cross-validation of the labels on features of a frozen backbone.

Small networks learn the label map from the features of single cells, without the labels of one fold of the tiles; then
they score the tiles of this fold. A backbone that is not trained cannot memorise wrong labels, and the whole takes
seconds. Chosen over cross-validation of the heat map networks, whose scores differ too much from network to network.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam.device import pick_device
from apsam.files import reserve, scratch_folder
from apsam.ground.raster import Grid
from apsam.localizer.model import PIXEL_STAGES, Localizer
from apsam.localizer.settings import LocalizerSettings
from apsam.progress import track
from apsam.stack import TileStack
from apsam.tiles.label_errors import LabelErrors, choose_label_errors, write_label_errors
from apsam.tiles.labels import tile_name
from apsam.tiles.parts import TRAIN

log = logging.getLogger(__name__)

# Share of the tiles' ground that other tiles have to cover too. On the demo's scenes with 5 % of the labels inverted,
# 35 to 38 % of the named labels are wrong with an overlap of 0.2 (share 0.56) or less, and 52 to 77 % with 0.3 (0.82)
# or more (docs/ground.md).
LEAST_SHARED = 2 / 3
# Side of a cell, pixels.
CELL = 16
# Score of a tile: the mean log-odds that this share of its cells exceed.
TOP_SHARE = 0.05
# Networks whose log-odds are averaged, and their training.
NETWORKS, STEPS, BATCH, HIDDEN = 3, 80, 512, 64
LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 2e-3, 0.05, 0.3
# Cells by which features are standardised.
SAMPLE = 4096
TILES_AT_ONCE = 16
TILES_OF_A_GROUP = 20_000
SEED = 0


@dataclass(frozen=True, eq=False)
class Cells:
    """The training tiles of some scenes, divided into cells.

    Attributes:
        names: (scene, tile) of the n tiles.
        labels: (n,) {0, 1}.
        place: (n, c) int, number of the ground that a cell covers; overlapping tiles have numbers in common.
        known: (n, c) bool, cells with data.
        features: (n * c, f) float16.
    """

    names: list[tuple[str, str]]
    labels: np.ndarray
    place: np.ndarray
    known: np.ndarray
    features: np.ndarray

    def targets(self, used: np.ndarray) -> np.ndarray:
        """Return (n, c) of {0, 1, 255}: 0 where a used negative tile covers a cell, 1 where only positive ones do.

        Args:
            used: (n,) bool, tiles whose label is used.
        """
        free, covered = (np.zeros(int(self.place.max(initial=0)) + 1, bool) for _ in range(2))
        covered[self.place[used][self.known[used]]] = True
        negative = used & (self.labels == 0)
        free[self.place[negative][self.known[negative]]] = True
        return np.where(self.known & covered[self.place], ~free[self.place], 255).astype(np.uint8)

    def shared(self) -> float:
        """Return the share, 0..1, of the tiles' known cells whose ground another tile covers too."""
        places = self.place[self.known]
        return float((np.bincount(places)[places] > 1).mean()) if places.size else 0.0


def find_label_errors(tiles: Sequence[Path], folds: int, output: Path, device: str = "auto") -> LabelErrors:
    """Find the negative training tiles of some scenes that score like positive ones, and write them as JSON.

    Labels of tiles that hardly overlap are not checked, and none is named: their networks know few labels of a tile's
    ground, so most of the named labels would be right, and a wrong label excludes little landslide of other tiles.
    Features are in a temporary file next to the output, 0.24 MB for each tile of 256 px; scenes with more than 20,000
    tiles in all are cross-validated group by group.

    Args:
        tiles: Tile stacks of raster scenes.
        folds: Number of parts that the training tiles of all scenes are divided into, at random with a fixed seed.
        output: JSON to make (`apsam.tiles.label_errors.read_label_errors`).
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Raises:
        InputError: A stack contains ready-made tiles, which have no common ground.
    """
    chosen = pick_device(device)
    names, labels, scores = [], [], []
    for group in groups_of(tiles):
        with scratch_folder(output, "features") as folder:
            cells = read_cells(group, folder, chosen)
            names += cells.names
            labels.append(cells.labels)
            shared = cells.shared()
            if shared >= LEAST_SHARED:
                scores.append(cross_validate(cells, folds, chosen))
                continue
            scores.append(np.full(len(cells.names), np.nan))
            if cells.names:
                log.info("labels are not checked: tiles share %.0f %% of their ground with others", 100 * shared)
    errors = choose_label_errors(names, np.concatenate(scores), np.concatenate(labels))
    write_label_errors(errors, output)
    return errors


def groups_of(tiles: Sequence[Path]) -> list[list[Path]]:
    """Divide tile stacks into groups of at most 20,000 tiles; a larger stack is a group by itself."""
    groups: list[list[Path]] = []
    count = 0
    for path in tiles:
        with TileStack(path) as stack:
            count += len(stack)
            if not groups or count > TILES_OF_A_GROUP:
                groups.append([])
                count = len(stack)
        groups[-1].append(path)
    return groups


def read_cells(tiles: Sequence[Path], folder: Path, device: torch.device) -> Cells:
    """Compute the features of the training tiles of some scenes.

    Args:
        tiles: Tile stacks of raster scenes, with tiles of the same size.
        folder: Where the features are kept, as a memory map.
        device: Of the backbone.

    Raises:
        InputError: A stack contains ready-made tiles.
    """
    network = Localizer(LocalizerSettings()).eval().to(device)
    channels = sum(network.backbone.channels[stage] for stage in PIXEL_STAGES)
    names, labels, places, known = [], [], [], []
    features, done, counted = None, 0, 0
    for path, count in _training_tiles(tiles):
        with TileStack(path) as stack:
            scene, side = stack.attributes["scene"], int(stack.attributes["tile_size"]) // CELL
            windows, label, part = (stack.read(name) for name in ("window", "label", "part"))
            training = np.flatnonzero(part == TRAIN)
            if features is None:
                features = _memory_map(folder / "features.npy", (count, side * side, channels))
            middles = np.arange(side) * CELL + CELL // 2
            rows, cols = ((windows[training, axis, None] + middles) // CELL for axis in (0, 1))
            width = int(cols.max(initial=0)) + 1
            place = counted + rows[:, :, None] * width + cols[:, None, :]
            counted = int(place.max(initial=counted)) + 1
            for start in track(range(0, len(training), TILES_AT_ONCE), f"features of {scene}"):
                indices = training[start : start + TILES_AT_ONCE]
                images = torch.from_numpy(stack.read_at("image", indices)).to(device)
                features[done : done + len(indices)] = _features(network, images, side)
                done += len(indices)
                valid = stack.read_at("valid", indices)[:, middles[:, None], middles] > 0
                known.append(valid.reshape(len(indices), -1))
        names += [(scene, tile_name(row, col)) for row, col in windows[training, :2].tolist()]
        labels.append(label[training])
        places.append(place.reshape(len(training), side * side))
    if features is None:
        return Cells([], np.zeros(0, int), np.zeros((0, 1), int), np.zeros((0, 1), bool), np.zeros((0, channels)))
    flat = features.reshape(-1, channels)
    return Cells(names, np.concatenate(labels), np.concatenate(places), np.concatenate(known), flat)


def _training_tiles(tiles: Sequence[Path]) -> list[tuple[Path, int]]:
    """Return the stacks with training tiles, each with the number of training tiles of all of them."""
    counts = {}
    for path in tiles:
        Grid.of_tiles(path)
        with TileStack(path) as stack:
            counts[path] = int((stack.read("part") == TRAIN).sum())
    return [(path, sum(counts.values())) for path, count in counts.items() if count]


def _memory_map(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    mapped = np.lib.format.open_memmap(file, "w+", np.float16, shape)
    reserve(file)
    return mapped


@torch.inference_mode()
def _features(network: Localizer, images: Tensor, side: int) -> np.ndarray:
    """Return (n, side * side, f) float16 of (n, 3, H, W) uint8."""
    stages = network.features(images)
    maps = [functional.adaptive_avg_pool2d(stages[i].float(), side) for i in PIXEL_STAGES]
    return torch.cat(maps, 1).flatten(2).permute(0, 2, 1).half().cpu().numpy()


def cross_validate(cells: Cells, folds: int, device: torch.device) -> np.ndarray:
    """Score each tile by networks that were trained without its label.

    Args:
        cells: The tiles.
        folds: Number of parts that they are divided into.
        device: Of the networks.

    Returns:
        (n,) float, log-odds; NaN without data, or if the other tiles have no known cell.
    """
    fold = np.random.default_rng(SEED).permutation(len(cells.names)) % folds
    scores = np.full(len(cells.names), np.nan)
    for number in track(range(folds), "check labels"):
        heads = _train(cells, fold != number, device)
        for index in np.flatnonzero(fold == number) if heads else ():
            scores[index] = _score(heads, cells, int(index), device)
    return scores


class _Head(nn.Module):
    """Log-odds (m,) of cells (m, f), which are standardised by the cells of a sample."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", sample.mean(0))
        self.register_buffer("deviation", sample.std(0) + 1e-6)
        self.layers = nn.Sequential(
            nn.Linear(sample.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, 1)
        )

    def forward(self, cells: Tensor) -> Tensor:
        odds: Tensor = self.layers((cells - self.mean) / self.deviation)
        return odds[:, 0]


def _train(cells: Cells, used: np.ndarray, device: torch.device) -> list[_Head]:
    """Train networks on the labels of some tiles; none if these tiles have no known cell."""
    target = cells.targets(used).ravel()
    seen = np.flatnonzero(target != 255)
    heads: list[_Head] = []
    for seed in range(NETWORKS) if len(seen) else ():
        torch.manual_seed(seed)
        draw = np.random.default_rng(seed)
        head = _Head(_tensor(cells.features[np.sort(draw.choice(seen, SAMPLE))], device)).to(device)
        optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
        for _ in range(STEPS):
            drawn = np.sort(draw.choice(seen, BATCH))
            odds = head(_tensor(cells.features[drawn], device))
            loss = functional.binary_cross_entropy_with_logits(odds, _tensor(target[drawn], device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        heads.append(head.eval())
    return heads


@torch.inference_mode()
def _score(heads: Sequence[_Head], cells: Cells, index: int, device: torch.device) -> float:
    known = cells.known[index]
    if not known.any():
        return float("nan")
    own = _tensor(cells.features[index * len(known) : (index + 1) * len(known)][known], device)
    odds = torch.stack([head(own) for head in heads]).mean(0)
    return float(odds.quantile(1 - TOP_SHARE))


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
