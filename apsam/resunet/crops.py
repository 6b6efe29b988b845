"""Training data of the ResUNet: crops at random positions of scenes, with their part of the mask.

A network that sees tiles on a fixed grid can learn the position in the tile; random positions prevent
this. A crop lies within half a stride of a training tile, so that scenes are sampled like their tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from apsam.errors import InputError
from apsam.ground.labels import CERTAIN, PROBABILITY, UNKNOWN
from apsam.ground.raster import Grid, GridReader
from apsam.sam.windows import open_scene_of
from apsam.stack import TileStack
from apsam.tiles.parts import NEITHER, SHARED, TEST, TRAIN
from apsam.tiles.settings import TileSettings
from apsam.training.batches import Shuffled

# Positions tried until a crop shares no pixel with a held-out tile and has enough known pixels; then the tile is used.
ATTEMPTS = 20
LEAST_KNOWN = 0.3


@dataclass(frozen=True)
class TrainingScene:
    """A scene to train on.

    Attributes:
        image: The raster.
        tiles: Tile stack of the raster; crops are near its training tiles.
        mask: GeoTIFF on the scene's grid: {0, 1}, 255 unknown; in the band `PROBABILITY` of a label map 0 to `CERTAIN`.
        band: Band of the mask.
    """

    image: Path
    tiles: Path
    mask: Path
    band: int = 1


class SceneCrops(Dataset[tuple[Tensor, Tensor]]):
    """Data set with as many crops per epoch as there are training tiles, each near one of them.

    Item `epoch * len + tile` is the crop near `tile` in that epoch (`CropOrder`): it depends only on the seed and this
    number, so that a training can resume after any epoch. No crop shares a pixel
    with a test tile, or ground with a held-out scene. Where a label map has probabilities, tiles without a label count
    as training tiles.

    Args:
        scenes: Scenes of one tile size.
        seed: Of the positions.

    Attributes:
        certain: Value of the mask that means landslide: 1, or `CERTAIN` if a scene has probabilities.

    Raises:
        InputError: Files do not belong together, there are fewer than two training tiles, or none has landslide in its
            mask.
    """

    def __init__(self, scenes: Sequence[TrainingScene], seed: int) -> None:
        self._seed = seed
        self.certain = CERTAIN if any(scene.band == PROBABILITY for scene in scenes) else 1
        self._opened = [_OpenScene(scene, self.certain) for scene in scenes]
        sizes = {scene.size for scene in self._opened}
        if len(sizes) > 1:
            raise InputError(f"tile stacks of different tile sizes {sorted(sizes)}; tile all scenes alike")
        self._places = [(scene, index) for scene in self._opened for index in scene.training]
        names = ", ".join(str(scene.tiles) for scene in scenes)
        if len(self) < 2:
            raise InputError(
                f"{len(self)} training tile(s) in {names}; the ResUNet needs at least two: "
                f"give a scene with 'split' train or blocks"
            )
        masks = (scene.mask_at(scene.windows[index]) for scene, index in self._places)
        self.positive = sum(bool(((mask > 0) & (mask != UNKNOWN)).any()) for mask in masks)
        if not self.positive:
            raise InputError(
                f"none of the {len(self)} training tiles in {names} has landslide in its mask "
                f"({', '.join(str(scene.mask) for scene in scenes)}), so a network would learn to find none; check the "
                f"labels, and, if these are pseudo-masks, their heat maps"
            )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return image (3, s, s) uint8 RGB and mask (s, s) uint8, 0 to `certain`, 255 unknown."""
        scene, index = self._places[number % len(self)]
        image, mask = scene.crop(int(index), np.random.default_rng([self._seed, number]))
        return torch.from_numpy(image), torch.from_numpy(mask)

    def close(self) -> None:
        """Close all files."""
        for scene in self._opened:
            scene.close()


class CropOrder(Shuffled):
    """All of `count` tiles, shuffled in every epoch; numbers of later epochs continue those of earlier ones."""

    def __iter__(self) -> Iterator[int]:
        return (number + self.epoch * self.count for number in super().__iter__())


class _OpenScene:
    """One scene with open files."""

    def __init__(self, scene: TrainingScene, certain: int) -> None:
        grid = Grid.of_tiles(scene.tiles)
        with TileStack(scene.tiles) as stack:
            self.size = int(stack.attributes["tile_size"])
            self.windows, parts = stack.read("window"), stack.read("part")
            shared = stack.read(SHARED) > 0 if SHARED in stack.arrays else np.zeros(len(parts), bool)
            self._step = TileSettings(**stack.attributes["made_by"]["tiles"]).stride
            self._reader = open_scene_of(stack, scene.image)
        self._mask = GridReader(scene.mask, grid)
        self._band = scene.band
        self._factor = 1 if scene.band == PROBABILITY else certain
        self._held_out = self.windows[(parts == TEST) | shared]
        chosen = parts == TRAIN
        if scene.band == PROBABILITY:  # which is known between the labelled tiles, too
            chosen |= (parts == NEITHER) & ~np.array([self._touches_held_out_tile(window) for window in self.windows])
        self.training = np.flatnonzero(chosen)

    def crop(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Read image and mask at a random position near a training tile."""
        row, col = self.windows[index, :2].tolist()
        reach = self._step // 2
        for _ in range(ATTEMPTS):
            down, across = rng.integers(-reach, reach + 1, 2).tolist()
            window = [
                min(max(row + down, 0), max(self._reader.height - self.size, 0)),
                min(max(col + across, 0), max(self._reader.width - self.size, 0)),
                self.size,
                self.size,
            ]
            if self._touches_held_out_tile(window):
                continue
            mask = self.mask_at(window)
            if (mask != UNKNOWN).mean() >= LEAST_KNOWN:
                break
        else:
            window = [row, col, self.size, self.size]
            mask = self.mask_at(window)
        image, valid = self._reader.read(*window)
        return image, np.where(valid > 0, mask, UNKNOWN).astype(np.uint8)

    def mask_at(self, window: Sequence[int]) -> np.ndarray:
        mask = self._mask.read(*(int(value) for value in window), band=self._band)
        return mask if self._factor == 1 else np.where(mask == UNKNOWN, UNKNOWN, mask * self._factor).astype(np.uint8)

    def _touches_held_out_tile(self, window: Sequence[int]) -> bool:
        row, col, height, width = window
        other = self._held_out
        return bool(
            (
                (other[:, 0] < row + height)
                & (other[:, 0] + other[:, 2] > row)
                & (other[:, 1] < col + width)
                & (other[:, 1] + other[:, 3] > col)
            ).any()
        )

    def close(self) -> None:
        self._reader.close()
        self._mask.close()
