"""Arrays that are passed to the public functions: masks with unknown pixels, and arrays without any."""

from __future__ import annotations

from typing import Any

import numpy as np

from apsam.errors import InputError
from apsam.reference_mask import NO_DATA


def mask_values(mask: Any, name: str) -> np.ndarray:
    """Return a mask as uint8 {0, 1, 255}.

    Args:
        mask: Bool, or integers {0, 1, 255}; 255 and the masked pixels of a masked array are no data.
        name: Of the argument, for the message.

    Raises:
        InputError: It has other values.
    """
    # Of a list of masked arrays, `np.asanyarray` would drop the masks.
    given = np.ma.asanyarray(mask)
    values, hidden = np.ma.getdata(given), np.ma.getmaskarray(given)
    known = values[~hidden]
    if values.dtype != bool and not np.isin(known, (0, 1, NO_DATA)).all():
        raise InputError(f"{name}: needs bool or the values 0, 1 and 255, has {np.unique(known)[:5].tolist()}")
    found: np.ndarray = (values == 1).astype(np.uint8)
    found[hidden | (values == NO_DATA)] = NO_DATA
    return found


def unmasked(values: Any, name: str) -> np.ndarray:
    """Return an array; one with masked values is refused, because these would count as data.

    Raises:
        InputError: Values are masked.
    """
    masked = any(map(np.ma.is_masked, values)) if isinstance(values, list | tuple) else np.ma.is_masked(values)
    if masked:
        raise InputError(f"{name}: has masked values, which would count as data; fill them first: values.filled(...)")
    return np.asarray(values)
