"""Selection without labels: one of SAM's masks for a prompt, one prompt set for a tile."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def wants_three(mask_choice: str) -> bool:
    """Whether a mask choice needs the decoder's three masks instead of its single one."""
    return mask_choice != "single"


def choose_masks(masks: Tensor, iou: Tensor, mask_choice: str, mask_index: int = 0) -> tuple[Tensor, Tensor]:
    """Select one mask per prompt.

    Args:
        masks: (P, M, h, w); M is 1 for `single`, else 3.
        iou: (P, M), SAM's estimates.
        mask_choice: `single`, `best_iou`, `index` (the paper's code: index 0), or `all`, which keeps all
            three masks.
        mask_index: Index of the mask, for `index`.

    Returns:
        Masks (P, 1, h, w) and estimates (P, 1); for `all` the input.
    """
    if mask_choice in ("single", "all"):
        return masks, iou
    if mask_choice == "index":
        return masks[:, mask_index : mask_index + 1], iou[:, mask_index : mask_index + 1]
    if mask_choice == "best_iou":
        rows = torch.arange(len(iou), device=iou.device)[:, None]
        best = iou.argmax(dim=1, keepdim=True)
        return masks[rows, best], iou[rows, best]
    raise ValueError(f"mask_choice: '{mask_choice}' is none of single, best_iou, index, all")


def agreement(probability: np.ndarray, cam: np.ndarray) -> np.ndarray:
    """Soft IoU of SAM's mask and the CAM of its prompt: the sum of the minima over the sum of the maxima.

    Args:
        probability: (..., h, w) float, SAM's mask probability in 0..1.
        cam: (..., h, w) float in 0..1, or uint8, then 255 is 1.

    Returns:
        (...) float in 0..1; 0 where both are empty.
    """
    if cam.dtype == np.uint8:
        cam = cam.astype(np.float32) / 255
    common = np.minimum(probability, cam).sum(axis=(-2, -1), dtype=np.float64)
    either = np.maximum(probability, cam).sum(axis=(-2, -1), dtype=np.float64)
    return np.divide(common, either, out=np.zeros_like(common), where=either > 0)


def pick_set(agreements: np.ndarray, iou: np.ndarray) -> int:
    """Return the prompt set of a tile with the highest agreement with the CAM times SAM's predicted IoU.

    Args:
        agreements: (S,) of `agreement`.
        iou: (S,) SAM's predicted IoU, mean over the set's prompts. Estimates are clipped to 0..1.

    Returns:
        Index of the set; the first of equals, so that a rerun selects the same.
    """
    return int(np.argmax(agreements * np.clip(iou, 0, 1)))
