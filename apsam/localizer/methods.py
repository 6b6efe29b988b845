"""What is learned beside the image-level label: the seam at which localization methods plug in.

A method owns its network and says three things: which views of a batch it trains on, which losses they
have, and what its class activation map is. The trainer (`apsam.localizer.train`), the map maker
(`apsam.localizer.cam`) and the weights file (`apsam.localizer.checkpoint`) are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam.localizer.augment import augment
from apsam.localizer.model import Localizer
from apsam.localizer.settings import LocalizerSettings, Optimizer

Batch = dict[str, Tensor]


class Method(nn.Module, ABC):
    """A way to learn a localizer from image-level labels.

    Attributes:
        settings: How it is trained.
        localizer: The network whose head and backbone every method has.
    """

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.localizer = Localizer(settings, weights)

    def views(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Batch:
        """What one step trains on.

        Args:
            images: Tiles (B, 3, H, W) uint8 RGB.
            labels: Image-level labels (B,) float32 {0, 1}.
            generator: Source of randomness, on the CPU.

        Returns:
            At least image (B, 3, H, W) float32 in 0..255 and label (B,).
        """
        return {"image": augment(images, self.settings.augmentation, generator), "label": labels}

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


class PlainCam(Method):
    """Binary cross-entropy of the pooled map, nothing else: with a plain head and mean pooling, Zhou et al.'s CAM."""

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One loss, `classification`."""
        logits = self.localizer.pool(self.localizer(batch["image"]))
        return {"classification": functional.binary_cross_entropy_with_logits(logits, batch["label"])}

    def cam(self, images: Tensor) -> Tensor:
        """The logit map."""
        return self.localizer(images)


METHODS: dict[str, type[Method]] = {"cam": PlainCam}


def build_method(settings: LocalizerSettings, weights: str | None = None) -> Method:
    """The method that the settings name, with new weights.

    Args:
        settings: The section `localizer`.
        weights: The backbone's starting weights; None: those the settings name.
    """
    return METHODS[settings.method](settings, weights)
