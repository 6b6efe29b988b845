"""S2C: SAM's segments and masks supervise the CAM during training.

H. Kweon and K.-J. Yoon, From SAM to CAMs: Exploring Segment Anything Model for Weakly Supervised Semantic
Segmentation, CVPR 2024.

1. Segments (SSC). SAM's "segment everything" divides every training tile into segments beforehand
   (`apsam.localizer.offline.s2c`). Every pixel's feature must be nearest, by cosine, to the mean feature of
   its own segment among those of the tile (cross-entropy, temperature 1; means without gradient, uncovered
   pixels left out).
2. Peaks (CPM), after some epochs. The peaks of the current CAM of a positive tile, all together, are one set
   of points for SAM; its mask is the label of a cross-entropy, with background 1 - CAM and
   landslide CAM over its maximum used as logits, as released.

Binary version. In the original, masks of several classes compete for a pixel; here it is landslide where SAM's
mask is. Negative tiles have no peaks and no mask, but their segments count. SAM is that of the run (`sam.name`):
with the light SAM in place of ViT-H this shows the mechanism, not the result with the paper's teacher.
Cheaper than the original: SAM's encoder runs once per tile (its embedding is stored), peaks are found in one
view of the whole tile instead of in four scales of a crop, mask and segments are transformed with the tile; the
features are compared on a grid of a quarter of the tile's side. In place of the original's own 256 channels
the feature is the input of the head's last layer, so that the head is that of all methods.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from apsam.device import bf16_pays
from apsam.errors import InputError
from apsam.localizer.augment import augment_with_maps
from apsam.localizer.data import Tiles
from apsam.localizer.methods.base import CPU, Batch, Method
from apsam.localizer.methods.cam_operations import no_loss, normalise_by_max, resize, with_background
from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.registry import LoadedSam, build_sam
from apsam.sam.settings import SamSettings
from apsam.stack import TileStack

UNCOVERED = 0
GRID_DIVISOR = 4
MASK_INDEX = 2
MASK_FACTOR = 65536  # segment and mask of a pixel are augmented as one number


class S2c(Method):
    """Segments and peaks."""

    def use_offline(self, path: Path, tiles: int, device: torch.device = CPU) -> None:
        """Open segments and embeddings, load the SAM that made them onto `device`."""
        stack = TileStack(path)
        if len(stack) != tiles:
            raise InputError(f"{path}: segments of {len(stack)} tiles, there are {tiles}; make them again")
        sam = build_sam(SamSettings.model_validate(stack.attributes["sam"]), device=device)
        if sam.checkpoint_hash != stack.attributes["checkpoint_hash"]:
            raise InputError(f"{path}: made with other weights of SAM '{sam.name}'; make it again")
        self.set_teacher(stack, sam)

    def set_teacher(self, stack: TileStack, sam: LoadedSam) -> None:
        """Use segments and embeddings of `stack`; `sam` predicts masks. Neither is part of the weights."""
        self._stack, self._sam = stack, sam

    def views(self, tiles: Tiles, generator: torch.Generator) -> Batch:
        """Return the tiles with their segments and, in the second phase, SAM's masks."""
        masks = torch.zeros(tiles.image.shape[:1] + tiles.image.shape[2:], dtype=torch.int32)
        asked = self.epoch >= self.settings.s2c.start_epoch
        if asked:
            masks = self.segment_peaks(tiles)
        segments = self._stack.read_at("segment", tiles.index.cpu().numpy()).astype(np.int32)
        known = torch.from_numpy(segments) + MASK_FACTOR * masks
        images, known = augment_with_maps(
            tiles.image, known.to(tiles.image.device), self.settings.augmentation, generator
        )
        return {
            "image": images,
            "label": tiles.label,
            "segment": known % MASK_FACTOR,
            "mask": known // MASK_FACTOR,
            "asked": torch.full_like(tiles.label, float(asked)),
        }

    @torch.no_grad()
    def segment_peaks(self, tiles: Tiles) -> Tensor:
        """Predict SAM's masks (B, H, W) int32 {0, 1} at peaks of the tiles' current CAMs; none on negative tiles."""
        size = tiles.image.shape[-2:]
        masks = torch.zeros(len(tiles.image), *size, dtype=torch.int32)
        rows = (tiles.label > 0).nonzero()[:, 0]
        if not len(rows):
            return masks
        device = tiles.image.device
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16_pays(device)):
            maps = resize(self.cam(tiles.image[rows]).float(), size)
        sets = find_peaks(normalise_by_max(maps)[:, 0], self.settings.s2c.peak, self.settings.s2c.distance)
        rows = rows.cpu()
        embeddings = self._stack.read_at("embedding", tiles.index.cpu()[rows].numpy())
        points, labels = pad_points(sets)
        prompts = PromptBatch(tile=np.arange(len(rows)), points=points, point_labels=labels)
        choice = self.settings.s2c.mask_choice
        logits = decode_prompts(self._sam, embeddings, prompts, (size[0], size[1]), choice, MASK_INDEX).logits[:, 0]
        masks[rows] = torch.from_numpy((logits > self._sam.mask_threshold).astype(np.int32))
        return masks

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Compute losses `classification`, `segments` and `peaks`."""
        stages = self.localizer.features(batch["image"])
        embedded = self.localizer.head.embed(stages)
        maps = self.localizer.head.linear(embedded).float()
        positive = (batch["label"] > 0) & (batch["asked"] > 0)
        peaks = self.peak_loss(maps[positive], batch["mask"][positive]) if positive.any() else no_loss(maps)
        return {
            "classification": self.classification(maps, batch["label"]),
            "segments": self.settings.s2c.segments * segment_loss(embedded.float(), batch["segment"]),
            "peaks": self.settings.s2c.peaks * peaks,
        }

    @staticmethod
    def peak_loss(maps: Tensor, masks: Tensor) -> Tensor:
        """Compute cross-entropy of CAMs (B, 1, h, w) and SAM's masks (B, H, W) {0, 1}."""
        channels = with_background(normalise_by_max(resize(maps, masks.shape[-2:])))
        return functional.cross_entropy(channels, masks.long())

    def cam(self, images: Tensor) -> Tensor:
        """Return the logit map."""
        return self.localizer(images)


def segment_loss(features: Tensor, segments: Tensor) -> Tensor:
    """Compute cross-entropy of every pixel's similarity to the tile's segment means, with its segment as label.

    Args:
        features: (B, D, h, w).
        segments: (B, H, W) int; 0: no segment.
    """
    size = [side // GRID_DIVISOR for side in segments.shape[-2:]]
    unit = functional.normalize(resize(features, size), dim=1).flatten(2)
    names = functional.interpolate(segments[:, None].float(), size, mode="nearest").flatten(1).long()
    losses = []
    for pixels, own in zip(unit, names, strict=True):
        covered = own != UNCOVERED
        if not covered.any():
            continue
        pixels, (_, own) = pixels[:, covered], own[covered].unique(return_inverse=True)
        members = functional.one_hot(own).to(pixels.dtype)
        means = functional.normalize(pixels.detach() @ members, dim=0)
        losses.append(functional.cross_entropy(pixels.T @ means, own))
    return torch.stack(losses).sum() / len(segments) if losses else no_loss(features)


def find_peaks(maps: Tensor, height: float, distance: int) -> list[np.ndarray]:
    """Find local maxima within `distance` pixels, above `height`, and always each map's maximum.

    Args:
        maps: (B, H, W) in 0..1.
        height: Minimum value.
        distance: Pixels, to each side.

    Returns:
        For each map (k, 2) x, y; of a plateau only the first pixel.
    """
    highest = functional.max_pool2d(maps[:, None], 2 * distance + 1, stride=1, padding=distance)[:, 0]
    found = []
    for tile, around in zip(maps.cpu(), highest.cpu(), strict=True):
        rows, columns = ((tile == around) & (tile > height)).nonzero(as_tuple=True)
        points: list[tuple[int, int]] = []
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
            if all(max(abs(x - a), abs(y - b)) > distance for a, b in points):
                points.append((x, y))
        if not points:
            y, x = divmod(int(tile.argmax()), tile.shape[1])
            points = [(x, y)]
        found.append(np.array(points, float))
    return found


def pad_points(sets: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return sets of points as one array (P, K, 2) and labels (P, K): 1, or -1 for padding."""
    most = max(len(points) for points in sets)
    points, labels = np.zeros((len(sets), most, 2)), np.full((len(sets), most), -1)
    for row, held in enumerate(sets):
        points[row, : len(held)], labels[row, : len(held)] = held, 1
    return points, labels
