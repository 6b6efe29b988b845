"""CDA: landslides are cut out of tiles and pasted into others, to decouple the class from its background.

Y. Su et al., Context Decoupling Augmentation for Weakly Supervised Semantic Segmentation, ICCV 2021.

A first, plain CAM gives cut-outs (`apsam.localizer.offline.cda`). A new network then trains on every
batch twice, unchanged and with one cut-out pasted into each tile: rotated by up to 90 degrees, at most 0.7 of
the tile's side, at any position. The two halves are augmented separately. There is one classification loss over
both halves and no other; the map is that of the plain CAM.

Binary version. With twenty classes a cut-out of some class is pasted into every image, so a seam carries no label.
With one class only tiles that become positive would have a seam, and the network would learn the seam. So each
tile gets, with equal probability, a landslide (the label becomes 1) or a control: the same outline, filled
with another negative tile's ground (the label does not change). `code: as_written` pastes landslides only. Edges are
feathered, as in the released code's blurred variant. Landslides are small: cut-outs may cover 2 to 70 % of
their tile instead of 10 to 70 %. Left out: random-walk refinement of the cut-outs (IRN), and the released
schedule that ends in the middle of the training.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from apsam.localizer.augment import augment
from apsam.localizer.data import Tiles
from apsam.localizer.methods.base import CPU, Batch, Method
from apsam.stack import TileStack

MOST_SIDE = 0.7  # of the tile's side
TURN = math.pi / 2
FEATHER = 5  # px


class Cda(Method):
    """Context decoupling augmentation.

    Attributes:
        objects: Cut-outs (n, 3, H, W) uint8, each in the middle, and outlines (n, H, W) uint8, after `use_offline`.
    """

    def use_offline(self, path: Path, tiles: int, device: torch.device = CPU) -> None:
        """Read the cut-outs."""
        with TileStack(path) as stack:
            self.objects = torch.from_numpy(stack.read("image")), torch.from_numpy(stack.read("mask"))

    def views(self, tiles: Tiles, generator: torch.Generator) -> Batch:
        """Return the tiles unchanged, then with pastes; each half is augmented separately."""
        pasted, labels = self.paste(tiles.image.float(), tiles.label, generator)
        halves = [augment(images, self.settings.augmentation, generator) for images in (tiles.image, pasted)]
        return {"image": torch.cat(halves), "label": torch.cat([tiles.label, labels])}

    def paste(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Paste one cut-out into every tile.

        Args:
            images: (B, 3, H, W) in 0..255.
            labels: (B,) {0, 1}.
            generator: Random numbers, on the CPU.

        Returns:
            Images (B, 3, H, W) and labels (B,) after pasting.
        """
        count, cut_outs, outlines = len(images), *self.objects
        chosen = torch.randint(0, len(cut_outs), (count,), generator=generator)
        landslide = torch.rand(count, generator=generator) < 0.5
        if self.settings.cda.code == "as_written":
            landslide = torch.ones(count, dtype=torch.bool)
        grid = self._placement(outlines[chosen], images.shape, generator).to(images.device)
        mask = _sample(outlines[chosen][:, None].float().to(images.device), grid)
        mask = functional.avg_pool2d(mask, FEATHER, stride=1, padding=FEATHER // 2, count_include_pad=False)
        filling = _sample(cut_outs[chosen].float().to(images.device), grid)
        ground = self._other_ground(images, labels, generator)
        filling = torch.where(landslide.view(-1, 1, 1, 1).to(images.device), filling, ground)
        pasted = images + mask * (filling - images)
        return pasted, torch.maximum(labels, landslide.to(labels))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One loss, `classification`, over both halves."""
        return {"classification": self.classification(self.localizer(batch["image"]), batch["label"])}

    def cam(self, images: Tensor) -> Tensor:
        """Return the logit map."""
        return self.localizer(images)

    def _placement(self, outlines: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Return the position of every host pixel in the cut-out's picture, (B, H, W, 2)."""
        count = len(outlines)
        turn = (torch.rand(count, generator=generator) * 2 - 1) * TURN
        extent = torch.stack([outlines.any(dim=d).sum(dim=1) for d in (1, 2)]).amax(dim=0) / outlines.shape[-1]
        size = (MOST_SIDE / extent.clamp(min=1e-3)).clamp(max=1.0)
        reach = 1 - (extent * size).clamp(max=1.0)
        place = (torch.rand(count, 2, generator=generator) * 2 - 1) * reach[:, None]
        cosine, sine = torch.cos(turn) / size, torch.sin(turn) / size
        matrix = torch.stack([cosine, -sine, sine, cosine], dim=1).view(count, 2, 2)
        shift = -torch.bmm(matrix, place[:, :, None])
        return functional.affine_grid(torch.cat([matrix, shift], dim=2), list(shape), align_corners=False)

    @staticmethod
    def _other_ground(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return for every tile a negative tile of the batch, rotated by half so that none is filled with itself."""
        negative = (labels == 0).nonzero()[:, 0]
        if not len(negative):
            return images.flip(-1, -2)
        chosen = torch.randint(0, len(negative), (len(images),), generator=generator).to(negative.device)
        return images[negative[chosen]].flip(-1, -2)


def _sample(images: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
