"""Mask decoding: prompts of many tiles in one batch, on stored embeddings."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from apsam.errors import ApsamError
from apsam.sam.batches import BatchSize, decode_batch, in_batches
from apsam.sam.embeddings import Embeddings, of_tiles
from apsam.sam.frame import input_size
from apsam.sam.model import LoadedSam
from apsam.sam.select import choose_masks, wants_three


@dataclass(frozen=True)
class PromptBatch:
    """P prompts, each of one tile. Each kind of prompt is given for all of them or for none.

    Attributes:
        tile: (P,) int, index into the embeddings.
        boxes: (P, 4) x0, y0, x1, y1 in the tile's pixels, or None.
        points: (P, 2) x, y in the tile's pixels, or (P, K, 2) for K points a prompt, or None.
        point_labels: (P,) or (P, K): 1 inside the object, 0 outside, -1 no point; None means all 1.
        mask_logits: (P, 1, 4E, 4E) float32 mask prompts in SAM's scale, or None.
    """

    tile: np.ndarray
    boxes: np.ndarray | None = None
    points: np.ndarray | None = None
    point_labels: np.ndarray | None = None
    mask_logits: np.ndarray | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and len(value) != len(self.tile):
                raise ValueError(f"{field.name} has {len(value)} entries for {len(self.tile)} prompts")
        if self.boxes is None and self.points is None and self.mask_logits is None:
            raise ValueError("a prompt needs a box, a point or a mask")

    def __len__(self) -> int:
        return len(self.tile)

    def __getitem__(self, part: slice | np.ndarray) -> PromptBatch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        parts: dict[str, Any] = {name: None if value is None else value[part] for name, value in values.items()}
        return replace(self, **parts)


@dataclass(frozen=True)
class Decoded:
    """SAM's prediction for P prompts with M masks each.

    Attributes:
        logits: (P, M, h, w) float32 in the tile's pixels; the mask is where they are above 0.
        iou: (P, M) float32, SAM's own estimate of each mask's IoU.
    """

    logits: np.ndarray
    iou: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Return probabilities (P, M, h, w) float32 in 0..1."""
        return torch.from_numpy(self.logits).sigmoid().numpy()


def decode_prompts(
    sam: LoadedSam,
    embeddings: np.ndarray | Embeddings,
    prompts: PromptBatch,
    tile_size: tuple[int, int],
    mask_choice: str = "single",
    mask_index: int = 0,
    batch: int | str | BatchSize = "auto",
) -> Decoded:
    """Decode prompts of many tiles, with any number per tile, in batches over the prompts.

    Args:
        embeddings: (n, D, E, E) of `encode_tiles`, or of n tiles of a store.
        prompts: P prompts; `prompts.tile` indexes `embeddings`. Boxes and points are in the tile's pixels; mask
            prompts are of the encoded image, which is the tile or the window that contains it.
        tile_size: Height and width of the tiles, pixels.
        mask_choice: `single`, `best_iou`, `index` (one mask per prompt, M = 1) or `all` (SAM's three, M = 3).
        mask_index: Which of the three, for `index`.
        batch: Prompts at a time, or `auto`; halved each time memory runs out.

    Raises:
        ApsamError: There is not enough memory for one prompt, or the masks are NaN or infinite.
    """
    if not isinstance(batch, BatchSize):
        batch = decode_batch(batch, sam.device, sam.embedding_shape)
    embeddings = of_tiles(embeddings)
    masks = 3 if mask_choice == "all" else 1
    logits = np.empty((len(prompts), masks, *tile_size), np.float32)
    iou = np.empty((len(prompts), masks), np.float32)
    # Neighbours in a batch then share an embedding, which is converted only once.
    order = np.argsort(embeddings.row[prompts.tile], kind="stable")

    def answer(part: slice) -> tuple[np.ndarray, np.ndarray]:
        some = prompts[order[part]]
        low, quality = _low_resolution(sam, embeddings, some, tile_size, wants_three(mask_choice))
        if not (torch.isfinite(low).all() and torch.isfinite(quality).all()):
            # NaN is not above the threshold, so the masks would be empty.
            raise ApsamError(f"SAM '{sam.name}': its masks or their quality are NaN or infinite; check the checkpoint")
        low, quality = choose_masks(low, quality, mask_choice, mask_index)
        corners = None if embeddings.corners is None else embeddings.corners[some.tile]
        logits = upscale(low, sam.image_size, tile_size, embeddings.frame, corners, sam.stretches)
        return logits.cpu().numpy(), quality.cpu().numpy()

    what = f"decode one prompt with SAM '{sam.name}' on {sam.device}"
    for part, (found, quality) in in_batches(len(prompts), batch, answer, what):
        logits[order[part]], iou[order[part]] = found, quality
    return Decoded(logits, iou)


@torch.no_grad()
def _low_resolution(
    sam: LoadedSam, embeddings: Embeddings, prompts: PromptBatch, tile_size: tuple[int, int], three: bool
) -> tuple[Tensor, Tensor]:
    """Return masks (P, M, s, s) of the encoder's square and IoU estimates (P, M) of the decoder."""
    device, frame = sam.device, embeddings.frame or tile_size
    height, width = sam.input_size(*frame)
    scale = np.array([width / frame[1], height / frame[0]])  # of x and y
    shift = np.zeros((len(prompts), 2)) if embeddings.corners is None else embeddings.corners[prompts.tile]
    points = boxes = masks = None
    if prompts.points is not None:
        labels = np.ones(prompts.points.shape[:-1]) if prompts.point_labels is None else prompts.point_labels
        many = len(prompts), -1
        moved = (prompts.points.reshape(*many, 2) + shift[:, None]) * scale
        coordinates = torch.from_numpy(moved.astype(np.float32)).to(device)
        points = coordinates, torch.as_tensor(labels, dtype=torch.int, device=device).view(many)
    if prompts.boxes is not None:
        corners = (prompts.boxes.reshape(-1, 2, 2) + shift[:, None]) * scale
        boxes = torch.from_numpy(corners.astype(np.float32)).reshape(-1, 4).to(device)
    if prompts.mask_logits is not None:
        masks = torch.as_tensor(prompts.mask_logits, dtype=torch.float32, device=device)

    rows, index = np.unique(embeddings.row[prompts.tile], return_inverse=True)
    images = torch.from_numpy(np.ascontiguousarray(embeddings.values[rows])).to(device).float()
    return sam.decode(images, torch.from_numpy(index).to(device), points, boxes, masks, three)


def upscale(
    masks: Tensor,
    image_size: int,
    tile_size: tuple[int, int],
    frame: tuple[int, int] | None = None,
    corners: np.ndarray | None = None,
    stretched: bool = False,
) -> Tensor:
    """Resize the decoder's masks to the tile's pixels, like `Sam.postprocess_masks`, but in one step.

    SAM interpolates to the encoder's square, crops the padding and interpolates to the image. Both steps
    are linear and separable, so they are one small matrix per axis, and the large square in between is not
    needed. For a tile in a larger window, the tile's rows and columns of the matrices are used. SAMs that stretch
    images have no padding and interpolate once (`Sam2Processor.post_process_masks`).

    Args:
        masks: (P, M, s, s) of the encoder's square.
        image_size: Side of the encoder's square.
        tile_size: Height and width of the result.
        frame: Height and width of the encoded image; equal to those of the tile if that was encoded.
        corners: (P, 2) x and y of each tile in the encoded image.
        stretched: The encoded image was stretched to the square instead of padded.

    Returns:
        (P, M, h, w).
    """
    frame = frame or tile_size
    low = masks.shape[-1]
    if stretched:
        rows, columns = (_interpolation(low, size) for size in frame)
    else:
        used = input_size(*frame, image_size)
        rows, columns = (_two_interpolations(low, image_size, *axis) for axis in zip(used, frame, strict=True))
    rows, columns = rows.to(masks.device), columns.to(masks.device)
    if corners is not None:
        first = torch.as_tensor(corners, device=masks.device)[:, None, :, None]
        columns, rows = (
            matrix[first[:, :, axis] + torch.arange(side, device=masks.device)]
            for axis, matrix, side in ((0, columns, tile_size[1]), (1, rows, tile_size[0]))
        )
    return rows @ masks @ columns.mT


@lru_cache(maxsize=16)
def _interpolation(low: int, size: int) -> Tensor:
    """Return the matrix (size, low) that interpolates `low` values to `size`."""
    return F.interpolate(torch.eye(low)[None], size=size, mode="linear", align_corners=False)[0].T.contiguous()


@lru_cache(maxsize=16)
def _two_interpolations(low: int, image_size: int, used: int, size: int) -> Tensor:
    """Return the matrix (size, low): `low` values to `image_size`, then the first `used` of these to `size`."""
    square = F.interpolate(torch.eye(low)[None], size=image_size, mode="linear", align_corners=False)[..., :used]
    return F.interpolate(square, size=size, mode="linear", align_corners=False)[0].T.contiguous()
