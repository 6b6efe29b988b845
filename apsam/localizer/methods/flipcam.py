"""FlipCAM: the map of a tile in quarters must equal the mean map of the tile and its mirror image.

X. Zhang et al., FlipCAM: A Feature-Level Flipping Augmentation Method for Weakly Supervised Building
Extraction From High-Resolution Remote Sensing Imagery, TGRS 2024 (on Puzzle-CAM, Jo and Yu 2021).

One step: the reference is the mean of the tile's map and of its mirror image's map, mirrored back. The tile
is cut into four quarters, each goes through the network alone, and their maps are put together again.
Losses: classification of the tile; classification by the merged map; mean absolute difference of reference
and merged map on positive tiles, its weight rising from 0 over the first half of the training to 1.25 (the
released settings have 1.25 for one data set and 0.25 for the others).

Binary version. The original is binary too, but trains a second class "background", which nearly every
tile has; it is left out. As in the original, the difference is computed on logit maps, not on scaled CAMs.
Left out too: the first convolution that the released code replaces by random weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from apsam.localizer.methods.base import Batch, Method
from apsam.localizer.methods.cam_operations import resize


class FlipCam(Method):
    """Flip module and quarters."""

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Compute losses `classification`, `merged` and `consistency`."""
        images, labels = batch["image"], batch["label"]
        maps = self.localizer(images)
        mirrored = self.localizer(images.flip(-1)).flip(-1)
        merged = merge_quarters(self.localizer(cut_quarters(images)))
        # Quarters round up: at stride 32 a view of 224 px has 7 x 7 values, its quarters have 4 x 4 each.
        merged = resize(merged, maps.shape[-2:])
        difference = ((maps + mirrored) / 2 - merged).abs().mean(dim=(1, 2, 3))
        return {
            "classification": self.classification(maps, labels),
            "merged": self.classification(merged, labels),
            "consistency": self.weight() * (labels * difference).mean(),
        }

    def weight(self) -> float:
        """Current weight of the consistency loss."""
        return self.settings.flipcam.consistency * min(1.0, self.share / self.settings.flipcam.ramp)

    def cam(self, images: Tensor) -> Tensor:
        """Return the logit map; the mirror image is one of the views over which all methods' maps are summed."""
        return self.localizer(images)


def cut_quarters(images: Tensor) -> Tensor:
    """(B, C, H, W) to (4B, C, H/2, W/2): all upper left, upper right, lower left, lower right quarters."""
    half, middle = images.shape[-2] // 2, images.shape[-1] // 2
    rows = images[..., :half, :], images[..., half : 2 * half, :]
    return torch.cat([part for row in rows for part in (row[..., :middle], row[..., middle : 2 * middle])])


def merge_quarters(maps: Tensor) -> Tensor:
    """Undo `cut_quarters`."""
    upper_left, upper_right, lower_left, lower_right = maps.chunk(4)
    upper = torch.cat([upper_left, upper_right], dim=-1)
    return torch.cat([upper, torch.cat([lower_left, lower_right], dim=-1)], dim=-2)
