"""Batches: the order of an epoch's tiles, divided into batches, each divided among processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch.utils.data import Sampler

from apsam.errors import ConfigError


class Order(Protocol):
    """Order of an epoch's tiles; the same for the same seed and epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0."""

    def __iter__(self) -> Iterator[int]: ...

    def __len__(self) -> int: ...


class Shuffled:
    """All of `count` tiles, shuffled in every epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist())


class Batches(Sampler[list[int]]):
    """Batches of an epoch; of each, the share of one process.

    All processes have the same batches and take every step together: the batch size is the total of all of them.

    Args:
        order: Of the tiles.
        size: Tiles per batch, over all processes; fewer if an epoch has fewer.
        least: A shorter last batch is left out if it has fewer tiles than this.
        rank: Rank of this process.
        world: Number of processes.

    Raises:
        ConfigError: A batch has fewer tiles than processes.
    """

    def __init__(self, order: Order, size: int, least: int = 1, rank: int = 0, world: int = 1) -> None:
        self.sampler = order  # Lightning sets the epoch of an attribute with this name
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
            # Neighbours stay together, because in a balanced order they are one positive and one negative tile.
            first, last = (number * len(batch) // self.world for number in (self.rank, self.rank + 1))
            yield batch[first:last]
