"""A proxy for LGAGNet (not LGAGNet itself): local prototypes guided by global anchors, on SIPE.

X. Zhang et al., Weakly Supervised Local-Global Anchor Guidance Network for Landslide Extraction With
Image-Level Annotations, GRSL 2023, has no public code and its text was not available. This is a guess from its
title, and from the fact that the same laboratory builds on SIPE; its results are not those of LGAGNet, and tables
call it "LGAG (proxy)".

Local anchors are SIPE's prototypes of a tile. Global anchors are, for landslide and for background, the
centres of k-means over the prototypes of the latest tiles, made anew at the beginning of every epoch. A
tile's prototype attends to the global anchors of its channel (softmax of cosines) and is replaced by a
mixture of itself and what it finds. Everything else is SIPE: seeds, consistency loss, map.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from apsam.localizer.methods.sipe import SIDE_WIDTHS, Sipe
from apsam.localizer.settings import LocalizerSettings

CHANNELS = 2
TEMPERATURE = 0.1
ROUNDS = 10  # of k-means


class LgagProxy(Sipe):
    """SIPE with global anchors.

    Attributes:
        queue: Latest prototypes of unit length (2, Q, D), a ring buffer; saved with the weights, like the others.
        filled: Number of prototypes ever added (2,).
        anchors: Global anchors (2, k, D), zero before the first epoch ends.
    """

    queue: Tensor
    filled: Tensor
    anchors: Tensor

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        super().__init__(settings, weights)
        self.register_buffer("queue", torch.zeros(CHANNELS, settings.lgag.queue, sum(SIDE_WIDTHS)))
        self.register_buffer("filled", torch.zeros(CHANNELS, dtype=torch.long))
        self.register_buffer("anchors", torch.zeros(CHANNELS, settings.lgag.anchors, sum(SIDE_WIDTHS)))
        self._anchored_epoch = -1

    def advance(self, share: float, epoch: int) -> None:
        """At the beginning of an epoch, compute new global anchors."""
        super().advance(share, epoch)
        if epoch >= self.settings.lgag.start_epoch and epoch != self._anchored_epoch:
            self._anchored_epoch = epoch
            held = self.filled.clamp(max=self.queue.shape[1])
            if int(held.min()) >= self.anchors.shape[1]:
                centres = [centres_of(self.queue[i, : held[i]], self.anchors.shape[1]) for i in range(CHANNELS)]
                self.anchors.copy_(torch.stack(centres))

    def prototypes(self, features: Tensor, seeds: Tensor) -> Tensor:
        """Return the tile's prototypes (B, 2, D), moved towards the global anchors if there are any."""
        local = super().prototypes(features, seeds)
        if self.training:
            self.remember(local.detach())
        return self.guided(local) if bool(self.anchors.any()) else local

    def guided(self, local: Tensor) -> Tensor:
        """Mix unit prototypes (B, 2, D) with the attended anchors of their channel."""
        local = functional.normalize(local, dim=2)
        attention = (torch.einsum("bcd,ckd->bck", local, self.anchors) / TEMPERATURE).softmax(dim=2)
        found = torch.einsum("bck,ckd->bcd", attention, self.anchors)
        return torch.lerp(local, found.to(local.dtype), self.settings.lgag.blend)

    @torch.no_grad()
    def remember(self, local: Tensor) -> None:
        """Add prototypes (B, 2, D) to the queue in place of the oldest; channels without seeds have none."""
        for channel in range(CHANNELS):
            new = local[:, channel][local[:, channel].norm(dim=1) > 0]
            places = (self.filled[channel] + torch.arange(len(new), device=new.device)) % self.queue.shape[1]
            self.queue[channel, places] = functional.normalize(new.float(), dim=1)
            self.filled[channel] += len(new)


def centres_of(points: Tensor, count: int) -> Tensor:
    """Cluster (n, D) of unit length to (count, D) by spherical k-means, starting from evenly spaced points."""
    centres = points[torch.linspace(0, len(points) - 1, count).long()]
    for _ in range(ROUNDS):
        nearest = (points @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        empty = sums.norm(dim=1, keepdim=True) == 0
        centres = torch.where(empty, centres, functional.normalize(sums, dim=1))
    return centres
