"""Training tiles from several stacks, and their order in an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from apsam.errors import InputError
from apsam.stack import TileStack

TRAIN, TEST = 0, 1  # values of a stack's `part`


class Tiles(NamedTuple):
    """A batch of training tiles; a single tile has no first axis.

    Attributes:
        image: (B, 3, H, W) uint8 RGB.
        label: (B,) float32 {0, 1}, image-level.
        index: (B,) int64, their numbers in the tile set.
    """

    image: torch.Tensor
    label: torch.Tensor
    index: torch.Tensor  # type: ignore[assignment]  # hides the method of tuples, which nobody needs here


class TileSet(Dataset):
    """The tiles of one part of several stacks: images and image-level labels, nothing else.

    Images are loaded into memory up to a size limit, else read from the stacks tile by tile on request.

    Attributes:
        labels: (n,) uint8 {0, 1}.
        places: (n, 2) int64: number of the stack, number of the tile in it; stacks in increasing order.
    """

    def __init__(self, stacks: Sequence[Path], part: int, memory_mb: int = 2000) -> None:
        """Select the tiles.

        Args:
            stacks: Tile stacks of one tile size.
            part: 0 for training tiles, 1 for test tiles.
            memory_mb: Largest size of the images in memory.

        Raises:
            InputError: Stacks differ in tile size, or one has no tiles.
        """
        # A stack opens its files when they are read and closes them if many are open (`apsam.open_files`).
        self.stacks = [TileStack(path) for path in stacks]
        shapes = {stack.path.name: stack.arrays["image"][0] for stack in self.stacks}
        if len(set(shapes.values())) > 1:
            raise InputError(f"tile stacks of different tile sizes cannot be mixed: {shapes}; tile them alike")
        labels, places = [], []
        for number, stack in enumerate(self.stacks):
            chosen = np.flatnonzero(stack.read("part") == part)
            labels.append(stack.read("label")[chosen])
            places.append(np.stack([np.full(len(chosen), number), chosen], axis=1))
        self.labels = np.concatenate(labels)
        self.places = np.concatenate(places)
        size = len(self.labels) * int(np.prod(next(iter(shapes.values()))))
        self._images = self._read(np.arange(len(self.labels))) if size <= memory_mb * 2**20 else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Tiles:
        """Return one tile, its label and number."""
        image = self._read(np.array([index]))[0] if self._images is None else self._images[index]
        return Tiles(torch.from_numpy(image), torch.tensor(float(self.labels[index])), torch.tensor(int(index)))

    def _read(self, indices: np.ndarray) -> np.ndarray:
        """Read images of some tiles, in their order; only the stacks that contain them are opened."""
        places = self.places[indices]
        images = np.empty((len(places), *self.stacks[0].arrays["image"][0]), np.uint8)
        for number in np.unique(places[:, 0]):
            rows = np.flatnonzero(places[:, 0] == number)
            images[rows] = self.stacks[number].read_at("image", places[rows, 1])
        return images

    def require_both_labels(self) -> None:
        """Check that there are tiles of both labels.

        Raises:
            InputError: There is no positive or no negative tile.
        """
        names = ", ".join(stack.path.name for stack in self.stacks)
        for label, word in ((1, "positive"), (0, "negative")):
            if not (self.labels == label).any():
                raise InputError(
                    f"the localizer has no {word} tile to learn from: {len(self)} training tiles (part 0) in "
                    f"{names}; check the labels and the split"
                )


class EpochOrder:
    """Sampler of the tiles of an epoch; the same for the same seed and epoch.

    If balanced, positive and negative tiles alternate, and an epoch has twice as many tiles as the rarer label: all of
    these, and the next as many of the other label, which is covered over several epochs. Otherwise an epoch
    has all tiles.
    """

    def __init__(self, labels: np.ndarray, balanced: bool, seed: int) -> None:
        self.labels = labels
        self.balanced = balanced
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        if not self.balanced:
            return len(self.labels)
        return 2 * int(min((self.labels == 1).sum(), (self.labels == 0).sum()))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.balanced:
            half = len(self) // 2
            pairs = [self._next(np.flatnonzero(self.labels == label), half) for label in (1, 0)]
            order = np.stack(pairs, axis=1).ravel()
        else:
            order = self._shuffled(np.arange(len(self.labels)), self.epoch)
        return iter(order.tolist())

    def _next(self, members: np.ndarray, count: int) -> np.ndarray:
        """Return the next `count` members in turn: members are shuffled again whenever all have been used."""
        start = self.epoch * count
        rounds = range(start // len(members), (start + count - 1) // len(members) + 1)
        row = np.concatenate([self._shuffled(members, number) for number in rounds])
        offset = start - rounds.start * len(members)
        return row[offset : offset + count]

    def _shuffled(self, members: np.ndarray, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, number]).permutation(members)
