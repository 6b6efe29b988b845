"""The ordinary classifier of OC-CSE: outputs for landslide and ground, trained on tiles with and without erasing."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn import functional

from apsam.backbones.build import Backbone
from apsam.localizer.data import Tiles
from apsam.localizer.methods.base import Batch, Method
from apsam.localizer.settings import LocalizerSettings

CLASSIFIER_KIND = "apsam ordinary classifier"
NOISE_GRID = 6  # of the random parts: about a sixth of the tile's side each
GROUND_LEFT = 0.25  # a tile with a smaller visible share counts as showing no ground


class OrdinaryClassifier(Method):
    """Two outputs of one backbone: landslide, and visible ground.

    Attributes:
        ground: The second head, of the same kind as the localizer's; its score is the mean of its map.
    """

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        super().__init__(settings, weights)
        self.ground = copy.deepcopy(self.localizer.head)

    def prepare(self, images: Tensor) -> None:
        """Scale the features of both heads."""
        super().prepare(images)
        self.ground.load_state_dict(
            {**self.ground.state_dict(), **dict(self.localizer.head.named_buffers())}, strict=True
        )

    def views(self, tiles: Tiles, generator: torch.Generator) -> Batch:
        """Return the tiles, and the negative ones again with random parts erased: no landslide, and ground or none."""
        batch = super().views(tiles, generator)
        images, labels = batch["image"], batch["label"]
        bare = images[labels == 0]
        shares = torch.rand(len(bare), generator=generator)
        mask = random_parts(shares, images.shape[-2:], generator).to(images.device)
        ground = (shares <= 1 - GROUND_LEFT).float().to(images.device)
        return {
            "image": torch.cat([images, erase(bare, mask, self.localizer.backbone)]),
            "label": torch.cat([labels, torch.zeros_like(ground)]),
            "ground": torch.cat([torch.ones_like(labels), ground]),
        }

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Compute losses `landslide` and `ground`."""
        scores = self.scores(batch["image"])
        return {
            name: functional.binary_cross_entropy_with_logits(scores[:, i], batch[key])
            for i, (name, key) in enumerate((("landslide", "label"), ("ground", "ground")))
        }

    def scores(self, images: Tensor) -> Tensor:
        """Logits (B, 2) of landslide and ground."""
        stages = self.localizer.features(images)
        landslide = self.localizer.pool(self.localizer.head(stages).float())
        return torch.stack([landslide, self.ground(stages).float().mean(dim=(1, 2, 3))], dim=1)

    def cam(self, images: Tensor) -> Tensor:
        """Return the landslide's logit map."""
        return self.localizer(images)

    def is_new(self, name: str) -> bool:
        """Whether the parameter called `name` is not one of the backbone's network; both heads begin with a copy."""
        return super().is_new(name.replace("ground.last.", "localizer.head.last."))


def erase(images: Tensor, mask: Tensor, backbone: Backbone) -> Tensor:
    """Replace pixels under the mask (B, 1, H, W) of 0..1 by the mean colour, for which the backbone's input is 0."""
    return images + mask * (backbone.pixel_mean - images)


def random_parts(shares: Tensor, size: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw smooth random regions that cover given shares of each image: (B,) to (B, 1, H, W) {0, 1}."""
    noise = torch.rand(len(shares), 1, NOISE_GRID, NOISE_GRID, generator=generator)
    field = functional.interpolate(noise, tuple(size), mode="bicubic", align_corners=False)
    rank = field.flatten(1).argsort(dim=1).argsort(dim=1).view_as(field)
    return (rank < shares.view(-1, 1, 1, 1) * rank[0].numel()).float() if len(shares) else field
