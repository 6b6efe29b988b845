"""The folder of a run with untrained networks and one scene, for tests of the public functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rasters import write_raster

from apsam.conditions import TrainingConditions
from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.methods import build_method
from apsam.localizer.settings import LocalizerSettings
from apsam.resunet.checkpoint import save_resunet
from apsam.resunet.model import build_resunet
from apsam.resunet.settings import ResUNetSettings
from apsam.tiles.settings import TileSettings

SIZE = 64
TILES = TileSettings(size=SIZE)
RESUNET = ResUNetSettings(preset="paper", widths=(4, 6, 8, 8, 8), pyramid_width=4, epochs=1, batch_size=4)


def picture(height: int, width: int) -> np.ndarray:
    """Noise with two bright blobs, (H, W, 3) uint8."""
    image = np.random.default_rng(0).integers(40, 90, (height, width, 3)).astype(np.uint8)
    image[10:30, 12:40] += 120
    image[height - 30 : height - 12, width - 40 : width - 20] += 120
    return image


def write_scene(path: Path, image: np.ndarray, known: np.ndarray | None = None) -> Path:
    """Write a raster scene with a CRS; where `known` is False it has no data."""
    return write_raster(path, image.transpose(2, 0, 1), mask=known)


def make_tiny_run(folder: Path) -> Path:
    """Write localizer, ResUNet and configuration of a run."""
    conditions = TrainingConditions(tiles=TILES, ground_resolution_m=(0.5, 0.5), stretched=False)
    torch.manual_seed(0)
    save_localizer(
        build_method(LocalizerSettings()).eval(), folder / "localizer/weights.safetensors", conditions=conditions
    )
    weights = folder / "resunet/apsam/weights.safetensors"
    save_resunet(build_resunet(RESUNET), RESUNET, weights, {}, conditions)
    (folder / "report").mkdir()
    (folder / "report/config.yaml").write_text(f"run: tiny\ntiles: {{size: {SIZE}}}\nmaps: {{threshold: 0.3}}\n")
    return folder
