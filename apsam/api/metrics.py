"""Evaluate a mask against a reference mask."""

from __future__ import annotations

import numpy as np

from apsam.errors import InputError
from apsam.metrics.counts import Counts

NO_DATA = 255


def evaluate(mask: np.ndarray, reference: np.ndarray) -> Counts:
    """Count true and false positives and negatives of a mask.

    Args:
        mask: (H, W) bool, or integers {0, 1, 255}: 1 is landslide; pixels of 255 are ignored.
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
    if mask.shape != reference.shape:
        raise InputError(f"mask and reference: need one shape, are {mask.shape} and {reference.shape}")
    return Counts.of(_checked(mask, "mask"), _checked(reference, "reference"))


def _checked(mask: np.ndarray, name: str) -> np.ndarray:
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    values = np.unique(mask)
    if not np.isin(values, (0, 1, NO_DATA)).all():
        raise InputError(f"{name}: needs bool or the values 0, 1 and 255, has {values[:5].tolist()}")
    return mask.astype(np.uint8)
