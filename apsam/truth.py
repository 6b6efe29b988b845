"""Former name of `apsam.reference_mask`, for scripts written for version 0.1."""

from __future__ import annotations

import warnings

from apsam.reference_mask import ReferenceMaskReader as TruthReader

__all__ = ["TruthReader"]

warnings.warn(
    "apsam.truth is now apsam.reference_mask, TruthReader is ReferenceMaskReader", DeprecationWarning, stacklevel=2
)
