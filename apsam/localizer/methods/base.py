"""What is learned in addition to the image-level label: the seam at which localization methods plug in.

A method owns its network and says three things: which views of a batch it trains on, which losses they
have, and what its class activation map is. Where it needs something made once before the training
(superpixels, cut-outs, a helper's weights), `apsam.localizer.offline` makes a file for it.
The trainer (`apsam.localizer.train`), the map maker (`apsam.localizer.cam`) and the weights file
(`apsam.localizer.checkpoint`) are the same for all.

What a method remembers between steps is in its `state_dict`, follows from how far the training is
(`advance`), or is read again from the offline file: so that an interrupted training can go on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam.localizer.augment import augment
from apsam.localizer.data import Tiles
from apsam.localizer.model import Localizer
from apsam.localizer.settings import LocalizerSettings, Optimizer

Batch = dict[str, Tensor]


class Method(nn.Module, ABC):
    """A way to learn a localizer from image-level labels.

    Attributes:
        settings: How it is trained.
        localizer: The network whose head and backbone every method has.
        share: How much of the training is done, 0..1.
        epoch: Epochs done.
    """

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.localizer = Localizer(settings, weights)
        self.share, self.epoch = 0.0, 0

    def use_offline(self, path: Path, tiles: int) -> None:
        """Read what the offline stage made; called once, before the training, of methods in `OFFLINE_FILES`.

        Args:
            path: The file.
            tiles: How many training tiles there are; the file may have an entry for each, in their order.

        Raises:
            InputError: It is not the file this method needs.
        """
        raise NotImplementedError(f"{type(self).__name__} has no offline stage")

    def advance(self, share: float, epoch: int) -> None:
        """Take note of how far the training is; called before every step.

        Args:
            share: Steps done of all steps, 0..1.
            epoch: Epochs done.
        """
        self.share, self.epoch = share, epoch

    def views(self, tiles: Tiles, generator: torch.Generator) -> Batch:
        """What one step trains on.

        Args:
            tiles: Training tiles where the network is.
            generator: Source of randomness, on the CPU.

        Returns:
            At least image (B, 3, H, W) float32 in 0..255 and label (B,).
        """
        return {"image": augment(tiles.image, self.settings.augmentation, generator), "label": tiles.label}

    def prepare(self, images: Tensor) -> None:
        """Get ready before the first step.

        Args:
            images: Some training tiles (B, 3, H, W) uint8, positive and negative.
        """
        self.localizer.calibrate(images)

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Named losses of one batch of views, weighted already; their sum is minimised."""

    @abstractmethod
    def cam(self, images: Tensor) -> Tensor:
        """Maps (B, 1, h, w) of tiles (B, 3, H, W) in 0..255: logits, neither cut nor scaled."""

    def classification(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy of pooled logit maps (B, 1, h, w) and image-level labels (B,)."""
        return functional.binary_cross_entropy_with_logits(self.localizer.pool(maps), labels)

    def logits(self, images: Tensor) -> Tensor:
        """Image-level logits (B,) of tiles (B, 3, H, W) in 0..255; above 0 a landslide is seen."""
        return self.localizer.pool(self.localizer(images))

    def parameter_groups(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        """Trained parameters for SGD; new ones learn `head_factor` times faster than the backbone."""
        new = [parameter for name, parameter in self.named_parameters() if self.is_new(name)]
        known = [parameter for name, parameter in self.named_parameters() if not self.is_new(name)]
        rate, factor = optimizer.learning_rate, optimizer.head_factor
        return [
            {"name": "backbone", "params": [p for p in known if p.requires_grad], "lr": rate},
            {"name": "head", "params": [p for p in new if p.requires_grad], "lr": rate * factor},
        ]

    def is_new(self, name: str) -> bool:
        """Whether the parameter called `name` starts without ImageNet weights."""
        return not name.startswith(("localizer.backbone.", "localizer.head.last."))
