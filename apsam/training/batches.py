"""Which tiles each step sees: the order of an epoch, cut into batches, a batch shared out among processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch.utils.data import Sampler

from apsam.errors import ConfigError


class Order(Protocol):
    """Which tiles an epoch sees, in which order: the same for the same seed and epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""

    def __iter__(self) -> Iterator[int]: ...

    def __len__(self) -> int: ...


class Shuffled:
    """All of `count` tiles, shuffled anew every epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist())


class Batches(Sampler[list[int]]):
    """The order of an epoch in batches; of each, the share of one process.

    All processes see the same batches and take every step together: the batch size is that of all of them.

    Args:
        order: Of the tiles.
        size: Tiles a batch, over all processes; fewer where an epoch has fewer.
        least: A shorter last batch is left out if it has fewer tiles than this.
        rank: Number of this process.
        world: How many processes there are.

    Raises:
        ConfigError: A batch has not one tile for every process.
    """

    def __init__(self, order: Order, size: int, least: int = 1, rank: int = 0, world: int = 1) -> None:
        self.sampler = order  # Lightning tells the epoch to an attribute of this name
        self.size = min(size, len(order))
        if self.size < world:
            raise ConfigError(
                f"{world} processes cannot share a batch of {self.size} tiles; raise 'batch_size', or start fewer"
            )
        self.least = min(max(least, world), self.size)
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.size)
        return whole + (rest >= self.least)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        for start in range(0, len(self) * self.size, self.size):
            batch = order[start : start + self.size]
            # Neighbours stay together: in a balanced order they are one positive and one negative tile.
            first, last = (number * len(batch) // self.world for number in (self.rank, self.rank + 1))
            yield batch[first:last]
