"""The stream of training items: item i is the same for the same seed, in any process."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from apsam.sam.training.prompts import KINDS, MASK_SIDE, Prompt, draw_prompts
from apsam.sam.training.scenes import TRAINING, SceneRanges, make_scene

Item = dict[str, Tensor]


class SceneStream(IterableDataset):
    """Items `first`, `first + 1`, ... of a seed: a scene and its prompts as tensors (see `make_item`)."""

    def __init__(self, seed: int, first: int, prompts: int, ranges: SceneRanges = TRAINING) -> None:
        self.seed, self.first, self.prompts, self.ranges = seed, first, prompts, ranges

    def __iter__(self) -> Iterator[Item]:
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        index = self.first
        while True:
            yield make_item(self.seed, index, self.prompts, self.ranges)
            index += 1


def make_item(seed: int, index: int, count: int, ranges: SceneRanges = TRAINING) -> Item:
    """One scene with `count` prompts.

    Returns:
        index (): this item's number; image (3, 256, 256) uint8; kind (P,) int64 into `KINDS`; point (P, 2) and
        box (P, 4) float32, pixels of the tile; map (P, 128, 128) uint8; has_map (P,) bool; target (P, 128, 128)
        uint8, the share of each low-resolution pixel times 255.
    """
    rng = np.random.default_rng([seed, index])
    prompts: list[Prompt] = []
    while not prompts:
        scene = make_scene(rng, ranges)
        prompts = draw_prompts(rng, scene, count)
    empty = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
    targets = [
        cv2.resize(prompt.target.astype(np.uint8) * 255, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
        for prompt in prompts
    ]
    maps = [empty if prompt.coarse_map is None else prompt.coarse_map for prompt in prompts]
    return {
        "index": torch.tensor(index),
        "image": torch.from_numpy(scene.image).permute(2, 0, 1).contiguous(),
        "kind": torch.tensor([KINDS.index(prompt.kind) for prompt in prompts]),
        "point": torch.from_numpy(np.stack([prompt.point for prompt in prompts])),
        "box": torch.from_numpy(np.stack([prompt.box for prompt in prompts])),
        "map": torch.from_numpy(np.stack(maps)),
        "has_map": torch.tensor([prompt.coarse_map is not None for prompt in prompts]),
        "target": torch.from_numpy(np.stack(targets)),
    }


def stream_items(seed: int, first: int, prompts: int, workers: int) -> Iterator[Item]:
    """Items in order, made by one process parallel to the training (or by this one if `workers` is 0)."""
    loader = DataLoader(
        SceneStream(seed, first, prompts),
        batch_size=None,
        num_workers=min(workers, 1),
        prefetch_factor=16 if workers else None,
        multiprocessing_context="spawn" if workers else None,  # a fork would inherit locks of torch threads
    )
    return iter(loader)
