"""Evaluate a mask against a reference mask."""

from __future__ import annotations

import warnings

import numpy as np

from apsam.api.arrays import mask_values
from apsam.errors import InputError
from apsam.metrics.counts import Counts
from apsam.reference_mask import NO_DATA


def evaluate(mask: np.ndarray, reference: np.ndarray) -> Counts:
    """Count true and false positives and negatives of a mask.

    Args:
        mask: (H, W) bool, or integers {0, 1, 255}: 1 is landslide; pixels of 255 are ignored, and so are masked
            pixels of a masked array. Divide masks of 0 and 255 by 255 first; a warning reminds of it.
        reference: The reference mask, of the same shape and values.

    Returns:
        Counts with `iou`, `f1`, `precision`, `recall`, `accuracy` and `kappa`. Counts of several images can be added.

    Raises:
        InputError: The masks differ in shape, or have other values.

    Examples:
        >>> import numpy as np
        >>> mask = np.array([[1, 1, 0, 0]], bool)
        >>> reference = np.array([[1, 0, 0, 255]], np.uint8)
        >>> counts = evaluate(mask, reference)
        >>> counts.tp, counts.fp, counts.fn, counts.tn
        (1, 1, 0, 1)
        >>> counts.iou
        0.5
    """
    found, there = mask_values(mask, "mask"), mask_values(reference, "reference")
    if found.shape != there.shape:
        raise InputError(f"mask and reference: need one shape, are {found.shape} and {there.shape}")
    for values, name in ((mask, "mask"), (reference, "reference")):
        # Only the stored values: masked pixels are known to be no data.
        stored = np.ma.compressed(np.ma.asanyarray(values))
        if (stored == NO_DATA).any() and not (stored == 1).any():
            warnings.warn(
                f"{name}: has 255, which is no data, and no landslide (1); if 255 is landslide, divide it by 255",
                stacklevel=2,
            )
    return Counts.of(found, there)
