"""A class activation map as SAM's mask prompt (`masks.cam_mask`; not in the paper).

SAM's prompt encoder takes the logits of an earlier mask. A CAM has values 0..255 and no logits; its range
is mapped linearly, so that half the maximum, about the paper's threshold, becomes logit 0. The light SAM
is trained with exactly this function (`apsam.sam.training.prompts`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

LOGIT_RANGE = 8.0  # SAM's own mask logits are mostly within +-10


def cam_to_mask_prompt(cam: Tensor | np.ndarray, size: int, stretched: bool = False) -> Tensor:
    """Scale CAMs to SAM's mask input.

    Args:
        cam: (N, H, W), uint8 0..255 or float 0..1. The longer side becomes `size`; the rest of the square,
            right or below, is padded as background, as SAM pads images.
        size: Side of SAM's mask input (`LoadedSam.mask_input_size`).
        stretched: Stretch CAMs to the square instead, like images for SAM 2 and 3.

    Returns:
        (N, 1, size, size) float32 logits from -8 (CAM 0) to 8 (CAM at its maximum).
    """
    values = torch.as_tensor(cam)
    share = values.float() / 255 if values.dtype == torch.uint8 else values.float()
    height, width = share.shape[-2:]
    scale = size / max(height, width)
    shape = (size, size) if stretched else (max(1, round(height * scale)), max(1, round(width * scale)))
    share = share.unsqueeze(1)
    if shape != (height, width):
        share = functional.interpolate(share, shape, mode="bilinear", align_corners=False, antialias=True)
    share = functional.pad(share, (0, size - shape[1], 0, size - shape[0]))
    return (2 * share - 1) * LOGIT_RANGE
