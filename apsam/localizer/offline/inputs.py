"""Inputs of every offline stage."""

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
        tiles: Training tiles, with image-level labels only.
        settings: The section `localizer`.
        sam: The section `sam`, for the method that uses it.
        seed: Of all random numbers.
        device: Where to compute.
    """

    tiles: TileSet
    settings: LocalizerSettings
    sam: SamSettings
    seed: int
    device: torch.device
