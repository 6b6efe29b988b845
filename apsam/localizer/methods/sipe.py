"""SIPE: prototypes of landslide and background in each tile, and a CAM that must agree with them.

Q. Chen et al., Self-supervised Image-specific Prototype Exploration for Weakly Supervised Semantic
Segmentation, CVPR 2022. APSAM's released code also trains its localizer with it.

One step, for one foreground class (channels: background = 1 - CAM, landslide = CAM / max):

1. Seeds. The similarity of every pixel's deepest features to every other's (cosine, positive part) is a soft
   region around it; the pixel is assigned to the channel with the higher soft IoU with that region. The
   background's IoU counts half.
2. Prototypes. The mean, over a channel's seeds, of features of four stages, each through a 1 x 1
   convolution of its own and of unit length; those convolutions are trained by this loss only.
3. Prototype map. The cosine (positive part) of every pixel with a prototype, over its maximum.
4. Loss. Mean absolute difference of channels and prototype maps, in addition to the classification loss.

Binary version. Several classes compete for seeds in the original, here landslide and background do. VOC has
no image without a class, so the paper does not mention negative tiles: their loss is left out, because their
only prototype is the background (APSAM's code keeps it, `code: as_released`). Masks of SIPE are an argmax
over prototype maps, background included. So that one threshold rule works for all methods, the map here
is the excess of landslide over background: above 0 where that argmax is landslide. Frozen stages are
the backbone's own setting; the paper trains the stages after the second (`frozen_stages: 3`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam.localizer.methods.base import Batch, Method
from apsam.localizer.methods.cam_operations import EPSILON, no_loss, normalise_by_max, resize, with_background
from apsam.localizer.settings import LocalizerSettings

SIDE_WIDTHS = (128, 128, 256, 256)


class Sipe(Method):
    """Image-specific prototypes.

    Attributes:
        sides: The 1 x 1 convolution of each of the last four stages.
    """

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        super().__init__(settings, weights)
        channels = self.localizer.backbone.channels[-len(SIDE_WIDTHS) :]
        self.sides = nn.ModuleList(
            nn.Conv2d(count, width, kernel_size=1, bias=False)
            for count, width in zip(channels, SIDE_WIDTHS, strict=True)
        )
        self.released = settings.sipe.code == "as_released"

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Compute losses `classification` and `consistency`."""
        stages = self.localizer.features(batch["image"])
        maps = self.localizer.head(stages).float()
        kept = torch.ones_like(batch["label"], dtype=torch.bool) if self.released else batch["label"] > 0
        if kept.any():
            present = torch.stack([torch.ones_like(batch["label"]), batch["label"]], dim=1)[kept]
            consistency = self.consistency(maps[kept], [stage[kept] for stage in stages], present)
        else:
            consistency = no_loss(maps)
        return {
            "classification": self.classification(maps, batch["label"]),
            "consistency": self.settings.sipe.consistency * consistency,
        }

    def consistency(self, maps: Tensor, stages: Sequence[Tensor], present: Tensor) -> Tensor:
        """Compute the mean absolute difference of CAM channels and prototype maps.

        Args:
            maps: Logit maps (B, 1, h, w).
            stages: Backbone features.
            present: (B, 2) {0, 1}, which channels a tile has: background always, landslide by its label.
        """
        channels = with_background(normalise_by_max(maps)) * present[:, :, None, None]
        features = self.side_features(stages, maps.shape[-2:])
        seeds = self.seeds(channels, stages[-1]) * present[:, :, None, None]
        likeness = self.prototype_maps(features, self.prototypes(features, seeds))
        likeness = likeness * present[:, :, None, None]
        likeness = likeness / (likeness.amax(dim=(2, 3), keepdim=True) + EPSILON)
        return (channels - likeness).abs().mean()

    def cam(self, images: Tensor) -> Tensor:
        """Return the excess of each pixel's similarity to landslide over background; seeds from the side features."""
        stages = self.localizer.features(images)
        maps = self.localizer.head(stages).float()
        if self.released:
            return maps
        features = self.side_features(stages, maps.shape[-2:])
        seeds = self.seeds(with_background(normalise_by_max(maps)), features)
        likeness = self.prototype_maps(features, self.prototypes(features, seeds))
        return likeness[:, 1:] - likeness[:, :1]

    def side_features(self, stages: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Return the hierarchical features (B, 768, h, w), without gradient into the backbone, as in the paper."""
        parts = []
        for side, stage in zip(self.sides, stages[-len(self.sides) :], strict=True):
            stage = stage if self.released else stage.detach()
            parts.append(resize(functional.normalize(side(stage).float(), dim=1), size))
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def seeds(self, channels: Tensor, features: Tensor) -> Tensor:
        """Assign each pixel to a channel.

        Args:
            channels: (B, 2, h, w) in 0..1.
            features: (B, D, h', w'), resized to the channels' grid.

        Returns:
            (B, 2, h, w) {0, 1}, one 1 per pixel.
        """
        unit = functional.normalize(resize(features.float(), channels.shape[-2:]), dim=1).flatten(2)
        region = functional.relu(torch.bmm(unit.transpose(1, 2), unit)).float()
        values = channels.flatten(2)
        common = torch.bmm(values, region).float()
        either = region.sum(dim=1, keepdim=True) + values.sum(dim=2, keepdim=True) - common
        overlap = common / (either + EPSILON)
        overlap[:, 0] *= self.settings.sipe.background
        winner = overlap.argmax(dim=1).view(len(channels), *channels.shape[-2:])
        return functional.one_hot(winner, channels.shape[1]).permute(0, 3, 1, 2).float()

    def prototypes(self, features: Tensor, seeds: Tensor) -> Tensor:
        """Compute the mean feature over each channel's seeds, (B, 2, D); zero for a channel without seeds."""
        sums = torch.einsum("bdhw,bchw->bcd", features, seeds)
        return sums / (seeds.sum(dim=(2, 3))[:, :, None] + EPSILON)

    @staticmethod
    def prototype_maps(features: Tensor, prototypes: Tensor) -> Tensor:
        """Compute the positive part of the cosine of every pixel with every prototype, (B, 2, h, w)."""
        unit = functional.normalize(features, dim=1)
        return functional.relu(torch.einsum("bdhw,bcd->bchw", unit, functional.normalize(prototypes, dim=2))).float()
