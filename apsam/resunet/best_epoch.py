"""Select the best epoch of a ResUNet by its F1 on reference masks of training tiles, as in the released code.

Only `resunet.keep: best_on_labels` reads reference masks during training; metrics are then `as_released`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from apsam.errors import InputError
from apsam.masks.stack import NO_DATA
from apsam.metrics.counts import Counts
from apsam.metrics.scene import PARTS, MeasuredScene, TileReferenceMasks
from apsam.resunet.model import ResUNet
from apsam.stack import TileStack

TILES_AT_ONCE = 8


class F1OnLabels:
    """F1 of a network over the training tiles of some scenes.

    Args:
        scenes: Scenes with a reference mask.

    Raises:
        InputError: There is no training tile among them.
    """

    def __init__(self, scenes: Sequence[MeasuredScene]) -> None:
        self._scenes = list(scenes)
        if not any(len(self._tiles(scene)) for scene in self._scenes):
            raise InputError(
                "resunet.keep: best_on_labels needs reference masks of training tiles; give a training scene a mask in "
                "the scene sheet, or set resunet.keep: last"
            )

    @torch.no_grad()
    def __call__(self, network: ResUNet) -> float:
        """F1 at probability 0.5, pixels of all tiles pooled; 0 where it is undefined. The network's mode is kept."""
        training, device = network.training, next(network.parameters()).device
        network.eval()
        counts = Counts()
        for scene in self._scenes:
            tiles = self._tiles(scene)
            with TileReferenceMasks(scene) as reference, TileStack(scene.tiles) as stack:
                for start in range(0, len(tiles), TILES_AT_ONCE):
                    part = tiles[start : start + TILES_AT_ONCE]
                    images = torch.from_numpy(stack.read_at("image", part)).to(device).float() / 255
                    landslide = (network(images)[:, 0] > 0).cpu().numpy()
                    found = np.where(stack.read_at("valid", part) > 0, landslide, NO_DATA).astype(np.uint8)
                    for tile, guess in zip(part, found, strict=True):
                        counts += Counts.of(guess, reference.tile(int(tile)))
        network.train(training)
        return counts.f1 or 0.0

    @staticmethod
    def _tiles(scene: MeasuredScene) -> np.ndarray:
        with TileStack(scene.tiles) as stack:
            return np.flatnonzero(stack.read("part") == PARTS["train"])
