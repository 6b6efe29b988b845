"""Base class of localization methods: losses in addition to the image-level label.

A method owns its network and defines three things: the views of a batch it trains on, their
losses, and its class activation map. If it needs files made once before the training
(superpixels, cut-outs, weights of a helper network), `apsam.localizer.offline` makes a file for it.
The trainer (`apsam.localizer.train`), the map maker (`apsam.localizer.cam`) and the weights file
(`apsam.localizer.checkpoint`) are the same for all.

All state of a method between steps is in its `state_dict`, follows from the progress of the training
(`advance`), or is read again from the offline file, so that an interrupted training can resume.
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
from apsam.localizer.model import Localizer, PlainHead
from apsam.localizer.settings import LocalizerSettings, Optimizer

Batch = dict[str, Tensor]
CPU = torch.device("cpu")


class Method(nn.Module, ABC):
    """A method to train a localizer on image-level labels.

    Attributes:
        settings: Settings of the training.
        localizer: The network; all methods have its head and backbone.
        share: Completed share of the training, 0..1.
        epoch: Completed epochs.
    """

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.localizer = Localizer(settings, weights)
        self.share, self.epoch = 0.0, 0

    def use_offline(self, path: Path, tiles: int, device: torch.device = CPU) -> None:
        """Read the file of the offline stage; called once, before the training, for methods in `OFFLINE_FILES`.

        Args:
            path: The file.
            tiles: Number of training tiles; the file may have an entry for each, in their order.
            device: Device of this process in the training, for a network that is not part of the method's.

        Raises:
            InputError: It is not the file that this method needs.
        """
        raise NotImplementedError(f"{type(self).__name__} has no offline stage")

    def advance(self, share: float, epoch: int) -> None:
        """Set the progress of the training; called before every step.

        Args:
            share: Completed share of all steps, 0..1.
            epoch: Completed epochs.
        """
        self.share, self.epoch = share, epoch

    def views(self, tiles: Tiles, generator: torch.Generator) -> Batch:
        """Return the training views of one step.

        Args:
            tiles: Training tiles on the network's device.
            generator: Random numbers, on the CPU.

        Returns:
            At least image (B, 3, H, W) float32 in 0..255 and label (B,).
        """
        return {"image": augment(tiles.image, self.settings.augmentation, generator), "label": tiles.label}

    def prepare(self, images: Tensor) -> None:
        """Prepare the method before the first step.

        Args:
            images: Some training tiles (B, 3, H, W) uint8, positive and negative.
        """
        self.localizer.calibrate(images)

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Compute named, weighted losses of one batch of views; their sum is minimised."""

    @abstractmethod
    def cam(self, images: Tensor) -> Tensor:
        """Compute maps (B, 1, h, w) of tiles (B, 3, H, W) in 0..255: logits, neither clipped nor scaled."""

    def classification(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Compute binary cross-entropy of pooled logit maps (B, 1, h, w) and image-level labels (B,)."""
        return functional.binary_cross_entropy_with_logits(self.localizer.pool(maps), labels)

    def logits(self, images: Tensor) -> Tensor:
        """Compute image-level logits (B,) of tiles (B, 3, H, W) in 0..255; above 0 is positive."""
        return self.localizer.pool(self.localizer(images))

    def parameter_groups(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        """Return parameters for SGD; new ones have a learning rate `head_factor` times that of the backbone."""
        new = [parameter for name, parameter in self.named_parameters() if self.is_new(name)]
        known = [parameter for name, parameter in self.named_parameters() if not self.is_new(name)]
        rate, factor = optimizer.learning_rate, optimizer.head_factor
        return [
            {"name": "backbone", "params": [p for p in known if p.requires_grad], "lr": rate},
            {"name": "head", "params": [p for p in new if p.requires_grad], "lr": rate * factor},
        ]

    def is_new(self, name: str) -> bool:
        """Whether the parameter called `name` is not one of the backbone's network, with its initial weights."""
        head = self.localizer.head
        if isinstance(head, PlainHead) and name.startswith("localizer.head.last."):
            return head.last_is_new
        return not name.startswith("localizer.backbone.")
