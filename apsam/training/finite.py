"""Check that the weights of a network are numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from apsam.errors import InputError


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Check weights read from a file: with NaN, a CAM would be empty and a map without data, and neither would say so.

    Raises:
        InputError: A weight is NaN or infinite.
    """
    wrong = next((name for name, value in state.items() if not torch.isfinite(value).all()), None)
    if wrong is not None:
        raise InputError(
            f"{path}: has weights that are NaN or infinite ({wrong}): its training diverged, or the file is damaged; "
            f"train it again, with a lower learning rate if that does not help"
        )
