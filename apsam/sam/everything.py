"""Full-image mode: all objects of a tile, prompted by a grid of points (paper, Fig. 4; arXiv:2304.02643, app. B).

The same steps and values as SAM's own generator, on our batched decoder, with a suppression of duplicates that
needs no compiled operator and so works with a CPU build of torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.embeddings import Embeddings
from apsam.sam.encode import encode_tiles
from apsam.sam.model import LoadedSam
from apsam.sam.settings import Channels, EverythingSettings

# Points whose three full-size masks are in memory at a time, for any size of the grid.
POINTS_HELD = 64


@dataclass(frozen=True)
class LabelMap:
    """The objects found in one tile.

    Attributes:
        labels: (h, w) int32; 0 without an object, else its number from 1 on. Objects are numbered from large
            to small, and small ones are drawn over large ones.
        iou: (n,) SAM's predicted IoU of objects 1 to n.
        stability: (n,) their stability.
        boxes: (n, 4) int, x0, y0, x1, y1 of their first and last pixels.
        points: (n, 2) the grid points that prompted them.
    """

    labels: np.ndarray
    iou: np.ndarray
    stability: np.ndarray
    boxes: np.ndarray
    points: np.ndarray


def segment_everything(
    sam: LoadedSam,
    image: np.ndarray,
    settings: EverythingSettings,
    precision: str = "auto",
    channels: Channels = "rgb",
) -> LabelMap:
    """Find all objects of a tile.

    Args:
        image: (3, h, w) uint8, RGB.
        settings: Grid and filters.
        precision, channels: Of the image encoder, as `encode_tiles` takes them.
    """
    embedding = encode_tiles(sam, image[None], precision=precision, dtype=np.float32, channels=channels)
    return segment_embedding(sam, embedding, image.shape[1:], settings)


def segment_embedding(
    sam: LoadedSam, embedding: np.ndarray | Embeddings, size: tuple[int, int], settings: EverythingSettings
) -> LabelMap:
    """Find all objects of an encoded tile.

    Args:
        embedding: (1, D, E, E) of `encode_tiles`, or the tile's of a store.
        size: Height and width of the tile, pixels.
        settings: Grid and filters.
    """
    grid = point_grid(settings.points_per_side, size)
    found = [
        _decode_points(sam, embedding, grid[start : start + POINTS_HELD], size, settings)
        for start in range(0, len(grid), POINTS_HELD)
    ]
    masks, iou, stability, boxes, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
    kept = suppress_doubles(boxes, iou, settings.max_box_overlap)
    kept = kept[np.argsort(-masks[kept].sum((1, 2), dtype=np.int64), kind="stable")]
    labels = np.zeros(size, np.int32)
    for number, mask in enumerate(masks[kept], 1):
        labels[mask] = number
    return LabelMap(labels, iou[kept], stability[kept], boxes[kept], points[kept])


def point_grid(side: int, size: tuple[int, int]) -> np.ndarray:
    """Return the centres of a grid of `side` x `side` cells over an image of `size` (h, w). (side * side, 2) x, y."""
    centres = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(centres * size[1], centres * size[0])
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _decode_points(
    sam: LoadedSam,
    embedding: np.ndarray | Embeddings,
    points: np.ndarray,
    size: tuple[int, int],
    settings: EverythingSettings,
) -> tuple[np.ndarray, ...]:
    """Return masks (k, h, w) bool, IoU, stability, boxes and points that pass the filters, k of 3 per point."""
    prompts = PromptBatch(tile=np.zeros(len(points), int), points=points)
    decoded = decode_prompts(sam, embedding, prompts, size, "all")
    logits, iou = decoded.logits.reshape(-1, *size), decoded.iou.ravel()
    points = points.repeat(3, axis=0)
    stability = stability_score(logits, sam.mask_threshold, settings.stability_offset)
    masks = logits > sam.mask_threshold
    good = masks.sum((1, 2)) > settings.min_area
    if settings.min_iou > 0:
        good &= iou > settings.min_iou
    if settings.min_stability > 0:
        good &= stability >= settings.min_stability
    return masks[good], iou[good], stability[good], boxes_of(masks[good]), points[good]


def stability_score(logits: np.ndarray, threshold: float, offset: float) -> np.ndarray:
    """IoU of the masks at a little higher and a little lower threshold. (k, h, w) -> (k,); 0 for empty ones."""
    high = (logits > threshold + offset).sum((1, 2))
    low = (logits > threshold - offset).sum((1, 2))
    return np.divide(high, low, out=np.zeros(len(logits)), where=low > 0)


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """Return first and last column and row of each mask, x0, y0, x1, y1; zeros for empty ones. (k, 4) int."""
    columns, rows = np.asarray(masks.any(1)), np.asarray(masks.any(2))
    if not len(masks):
        return np.zeros((0, 4), int)
    left, top = columns.argmax(1), rows.argmax(1)
    right = masks.shape[2] - 1 - columns[:, ::-1].argmax(1)
    bottom = masks.shape[1] - 1 - rows[:, ::-1].argmax(1)
    return np.stack([left, top, right, bottom], axis=1) * np.asarray(rows.any(1))[:, None]


def suppress_doubles(boxes: np.ndarray, scores: np.ndarray, max_overlap: float) -> np.ndarray:
    """Greedy non-maximum suppression: from the highest score down, drop boxes that overlap a kept box by more.

    Args:
        boxes: (k, 4) x0, y0, x1, y1.
        scores: (k,).
        max_overlap: IoU of two boxes above which the lower-scored one is dropped.

    Returns:
        Indices of the kept boxes, by decreasing score; of equal scores the first comes first.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes.astype(float)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        corner = np.maximum(boxes[best, :2], boxes[order, :2])
        extent = np.clip(np.minimum(boxes[best, 2:], boxes[order, 2:]) - corner, 0, None)
        common = extent.prod(axis=1)
        either = area[best] + area[order] - common
        order = order[common <= max_overlap * either]
    return np.array(kept, int)
