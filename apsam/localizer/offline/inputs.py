"""What every offline stage may use."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from apsam.localizer.data import TileSet
from apsam.localizer.settings import LocalizerSettings
from apsam.sam.settings import SamSettings


@dataclass(frozen=True)
class OfflineInputs:
    """Training tiles and settings.

    Attributes:
        tiles: Training tiles; their image-level labels are all that is known of them.
        settings: The section `localizer`.
        sam: The section `sam`, for the method that asks it.
        seed: Of all that is random.
        device: Where to compute.
    """

    tiles: TileSet
    settings: LocalizerSettings
    sam: SamSettings
    seed: int
    device: torch.device
