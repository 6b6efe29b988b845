"""CPN: maps of two complementary halves of a tile must add up to the map of the whole tile.

F. Zhang et al., Complementary Patch for Weakly Supervised Semantic Segmentation, ICCV 2021.

Half as many superpixels as a tile has are drawn, with replacement, so that 39 % are hidden on average. x1 is
the tile without them, x2 has only these; c and u = 1 - c are the visible shares (hidden pixels have the
mean colour, 0 for the network). The pixel-region correlation module converts every CAM to a refined map R, which
is also the final map:

- CAM over its maximum, background as 1 - CAM, without gradient;
- the mean of those over pixels with similar features (affinity: positive cosine of a projection, as in SEAM),
- plus the same channels weighted by the correlation of each pixel with the channel's region (region feature: the
  softmax of the channel over pixels times features; correlation: softmax over pixels of key times query).

Losses (norm: positive part, stretched from minimum to maximum): classification of all three, with a penalty on
the lowest quarter of R; the triple of complementary patches, |c cam1 + u cam2 - cam| and |R - (c R1 + u R2)|;
the cross regularisation, |(cam - c cam1) - u R2| and |(cam - u cam2) - c R1| over the hardest 20 %.

Binary version. Channels are background and landslide. Correlations are divided by the root of their width instead
of the root of the number of classes, with which two classes would give all weight to one pixel. The losses
between maps are computed on positive tiles only and are means over these; on negative tiles every map would
reach 1 somewhere. All maps stay on the grid of the CAM. In the released code the axes of the region keys are
mixed up (a `view` in place of a transpose): `code: as_released`. Backbone and head are those of all methods,
in place of WideResNet-38 with its third stage; superpixels belong to the tile and are transformed with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam.errors import InputError
from apsam.localizer.augment import augment_with_maps
from apsam.localizer.data import Tiles
from apsam.localizer.methods.base import CPU, Batch, Method
from apsam.localizer.methods.cam_operations import EPSILON, min_max, no_loss, normalise_by_max, resize, with_background
from apsam.localizer.settings import LocalizerSettings
from apsam.stack import TileStack

WIDTHS = (64, 128)
PROJECTION = 192
LOWEST = 0.25


class Seen(NamedTuple):
    """The network's output for one version of the tiles: CAM logits and refined map, both (B, 1, h, w)."""

    maps: Tensor
    refined: Tensor


class Cpn(Method):
    """Complementary patches with the pixel-region correlation module.

    Attributes:
        superpixels: Stack of `segment` (n, H, W), a tile's superpixels, after `use_offline`.
    """

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        super().__init__(settings, weights)
        channels = self.localizer.backbone.channels[-len(WIDTHS) :]
        self.reduce = nn.ModuleList(nn.Conv2d(c, w, kernel_size=1) for c, w in zip(channels, WIDTHS, strict=True))
        total = sum(WIDTHS) + 3
        self.project = nn.Conv2d(total, PROJECTION, kernel_size=1, bias=False)
        self.key = nn.Linear(total, PROJECTION)
        self.query = nn.Conv2d(total, PROJECTION, kernel_size=1)

    def use_offline(self, path: Path, tiles: int, device: torch.device = CPU) -> None:
        """Open the superpixels."""
        self.superpixels = TileStack(path)
        if len(self.superpixels) != tiles:
            held = len(self.superpixels)
            raise InputError(f"{path}: superpixels of {held} tiles, there are {tiles}; make them again")

    def views(self, tiles: Tiles, generator: torch.Generator) -> Batch:
        """Return the tiles, and the pixels of them that x1 hides."""
        numbers = self.superpixels.read_at("segment", tiles.index.cpu().numpy()).astype("int32")
        segments = torch.from_numpy(numbers).to(tiles.image.device)
        images, segments = augment_with_maps(tiles.image, segments, self.settings.augmentation, generator)
        return {"image": images, "label": tiles.label, "hidden": draw_hidden(segments, generator)}

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Compute losses `classification`, `lowest`, `triple` and `cross`."""
        images, labels, hidden = batch["image"], batch["label"], batch["hidden"][:, None]
        without, only = complementary(images, hidden, self.localizer.backbone.pixel_mean)
        whole, first, second = every = [self.see(version) for version in (images, without, only)]
        positive = labels > 0
        losses = {
            "classification": cast(Tensor, sum(self.classification(seen.maps, labels) for seen in every)) / 3,
            "lowest": cast(Tensor, sum(lowest_share(seen.refined) for seen in every)) / 3,
        }
        if not positive.any():
            return losses | {"triple": no_loss(whole.maps), "cross": no_loss(whole.maps)}
        u = hidden.mean(dim=(2, 3), keepdim=True)[positive]
        c = 1 - u
        cam, cam1, cam2 = (min_max(seen.maps[positive]) for seen in (whole, first, second))
        r, r1, r2 = (min_max(seen.refined[positive]) for seen in (whole, first, second))
        together = (c * cam1 + u * cam2).detach()
        losses["triple"] = (together - cam).abs().mean() + (r - (c * r1 + u * r2)).abs().mean()
        losses["cross"] = self._hardest(cam - c * cam1, u * r2) + self._hardest(cam - u * cam2, c * r1)
        return losses

    def see(self, images: Tensor) -> Seen:
        """Compute CAM logits and refined map of tiles in 0..255."""
        stages = self.localizer.features(images)
        maps = self.localizer.head(stages).float()
        return Seen(maps, self.refine(maps, stages, self.localizer.backbone.normalise(images)))

    def refine(self, maps: Tensor, stages: Sequence[Tensor], pixels: Tensor) -> Tensor:
        """Refine landslide maps (B, 1, h, w) of logit maps (B, 1, h, w); no gradient to maps or stages."""
        size = maps.shape[-2:]
        parts = [
            resize(functional.relu(layer(stage.detach())), size)
            for layer, stage in zip(self.reduce, stages[-len(WIDTHS) :], strict=True)
        ]
        pixels = functional.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
        features = torch.cat([*(part.float() for part in parts), pixels], dim=1)
        channels = with_background(normalise_by_max(maps.detach()))
        refined = self._affinity_mean(channels, features) + self._answers(channels, features) * channels
        return refined[:, 1:].float()

    def cam(self, images: Tensor) -> Tensor:
        """Stretch the refined map from its minimum to its maximum, because a mean over similar pixels is nowhere 0."""
        return min_max(self.see(images).refined)

    def _affinity_mean(self, channels: Tensor, features: Tensor) -> Tensor:
        unit = functional.normalize(self.project(features).flatten(2).float(), dim=1)
        affinity = functional.relu(torch.bmm(unit.transpose(1, 2), unit))
        affinity = affinity / (affinity.sum(dim=1, keepdim=True) + EPSILON)
        return torch.bmm(channels.flatten(2), affinity).view_as(channels).float()

    def _answers(self, channels: Tensor, features: Tensor) -> Tensor:
        """Correlate pixels with each channel's region: (B, 2, h, w), a softmax over the pixels."""
        share = channels.flatten(2).softmax(dim=2)
        regions = torch.einsum("bcn,bdn->bcd", share, features.flatten(2))
        keys = functional.relu(self.key(regions))
        if self.settings.cpn.code == "as_released":
            keys = keys.transpose(1, 2).reshape(len(keys), channels.shape[1], PROJECTION)
        queries = functional.relu(self.query(features)).flatten(2)
        # Divided by the root of their width, as in attention: with that of the number of channels, 1.4 here instead of
        # the paper's 4.6, one pixel has all the weight.
        answers = torch.bmm(keys.float(), queries.float()) / math.sqrt(PROJECTION)
        return answers.softmax(dim=2).view_as(channels)

    def _hardest(self, missing: Tensor, found: Tensor) -> Tensor:
        """Mean of the largest differences between what one half lacks and what the other's refined map has."""
        wanted = strongest_channel(with_background(missing.detach().clamp(0, 1)))
        errors = (wanted - with_background(found)).abs().flatten(1)
        return errors.topk(max(1, round(errors.shape[1] * self.settings.cpn.hardest)), dim=1).values.mean()


def draw_hidden(segments: Tensor, generator: torch.Generator) -> Tensor:
    """Draw half as many superpixels as there are, with replacement: (B, H, W) int to (B, H, W) float {0, 1}."""
    hidden = torch.zeros(segments.shape, device=segments.device)
    for row, tile in enumerate(segments):
        names = tile.unique().cpu()
        drawn = names[torch.randint(0, len(names), (len(names) // 2,), generator=generator)]
        hidden[row] = torch.isin(tile, drawn.to(tile.device)).float()
    return hidden


def complementary(images: Tensor, hidden: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Tiles without what is hidden, and with nothing else; in place of the rest the mean colour.

    Normalised (mean colour 0) the two add up to the tile.
    """
    centred = images - mean
    return mean + centred * (1 - hidden), mean + centred * hidden


def lowest_share(maps: Tensor) -> Tensor:
    """Mean positive part of the lowest quarter of every map."""
    values = functional.relu(maps).flatten(1)
    return -(-values).topk(max(1, round(values.shape[1] * LOWEST)), dim=1).values.mean()


def strongest_channel(channels: Tensor) -> Tensor:
    """Channels (B, C, h, w) that are the pixel's highest; the others are 0 there."""
    return torch.where(channels == channels.amax(dim=1, keepdim=True), channels, 0.0)
