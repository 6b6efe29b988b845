"""Tile stacks that a localizer learns in a few steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.localizer.settings import AugmentationSettings
from apsam.stack import TileStackWriter

STILL = AugmentationSettings(dihedral=False, zoom=(1, 1), view=1, shift=0, colour=0)
SIDE = 64


def blob_tiles(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noisy green tiles; every second one has an off-centre brown disc. Images, labels, reference masks."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.uint8)
    images = rng.normal(0, 20, (count, 3, SIDE, SIDE)) + np.array([60, 110, 60])[:, None, None]
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for tile in np.flatnonzero(labels):
        y, x = rng.uniform(16, SIDE - 16, 2)
        masks[tile] = (rows - y) ** 2 + (columns - x) ** 2 < 12**2
        images[tile] += masks[tile] * np.array([130, 40, 0])[:, None, None]
    return images.clip(0, 255).astype(np.uint8), labels, masks


def write_tiles(path: Path, images: np.ndarray, labels: np.ndarray, part: np.ndarray | int = 0) -> Path:
    side = images.shape[-1]
    specs = {
        "image": ((3, side, side), "uint8"),
        "valid": ((side, side), "uint8"),
        "label": ((), "uint8"),
        "part": ((), "uint8"),
    }
    parts = np.broadcast_to(np.asarray(part, np.uint8), labels.shape).copy()
    with TileStackWriter(path, {"scene": path.name.split(".")[0]}, specs) as writer:
        valid = np.ones((len(images), side, side), np.uint8)
        writer.append(image=images, valid=valid, label=labels, part=parts)
    return path
