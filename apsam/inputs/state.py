"""What a check of the inputs is about, and what it has found so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from apsam.bounds import Bounds
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings


@dataclass
class CheckState:
    """The settings of a check, and what concerns several scenes.

    Attributes:
        tiles, labels, split: Sections of the configuration.
        until: When pixels are no longer looked at, by `time.monotonic`.
        warnings: Sentences.
        places: Scene -> its bounds in degrees, or None.
        grounds: CRS (`rasterio.crs.CRS`) and bounds of each scene.
        layers: Layer and whether it is one of labels -> the scenes that use it.
        buffers: Layer of labels -> metres around a scene within which its features matter.
        resolutions: Scene -> ground side of a pixel, metres.
        stretched: Scene -> whether its values are stretched to 8 bit.
        without_pixels: Scenes whose pixels were not looked at.
        train: Positive and negative tiles of the training scenes.
        lengths: Of each training scene, lengths of its landslides (n,), side of a tile, its own shorter side; metres.
        known_counts: Whether all tiles of the training scenes are counted.
        only_tables: Whether all labels are given by tables.
    """

    tiles: TileSettings
    labels: LabelSettings
    split: SplitSettings
    until: float
    warnings: list[str] = field(default_factory=list)
    places: dict[str, Bounds | None] = field(default_factory=dict)
    grounds: list[tuple[object, Bounds]] = field(default_factory=list)
    layers: dict[tuple[Path, bool], list[Path]] = field(default_factory=dict)
    buffers: dict[Path, float] = field(default_factory=dict)
    resolutions: dict[str, float] = field(default_factory=dict)
    stretched: dict[str, bool] = field(default_factory=dict)
    without_pixels: list[str] = field(default_factory=list)
    train: list[int] = field(default_factory=lambda: [0, 0])
    lengths: list[tuple[np.ndarray, float, float]] = field(default_factory=list)
    known_counts: bool = True
    only_tables: bool = True

    @property
    def in_time(self) -> bool:
        """Whether pixels may still be looked at."""
        return time.monotonic() < self.until
