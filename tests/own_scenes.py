"""Scenes of users, made for tests: folders of ready-made tiles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_tiles(folder: Path, count: int, rng: np.random.Generator, suffix: str = ".png") -> None:
    """Ready-made tiles with labels and masks; a bright spot is a landslide."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = ["tile,label"]
    for number in range(count):
        image = rng.integers(0, 90, (256, 256, 3), np.uint8)
        mask = np.zeros((256, 256), np.uint8)
        if number % 2:
            mask[80:140, 90 : 150 + number] = 255
            image[mask > 0] += 120
        cv2.imwrite(str(folder / "images" / f"{number}{suffix}"), image)
        write_mask(folder / "masks" / f"{number}{suffix}", mask)
        lines.append(f"{number}{suffix},{number % 2}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def write_mask(file: Path, mask: np.ndarray) -> None:
    """A mask; a TIFF is not compressed, so that masks of one shape have one size."""
    cv2.imwrite(str(file), mask, [cv2.IMWRITE_TIFF_COMPRESSION, 1] if file.suffix == ".tif" else [])
