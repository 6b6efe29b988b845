"""Random grey and colour textures for the light SAM's training scenes.

Every function draws from the generator it is given and returns float32 images of `size` x `size` pixels;
"standardised" means mean 0 and standard deviation 1.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator


def standardise(field: np.ndarray) -> np.ndarray:
    """Shift and scale to mean 0 and standard deviation 1."""
    mean, deviation = cv2.meanStdDev(field)
    return (field - np.float32(mean[0, 0])) * np.float32(1 / (deviation[0, 0] + 1e-6))


def fractal(rng: Generator, size: int, coarsest: int = 4, slope: float = 1.0) -> np.ndarray:
    """Sum of octaves of noise, standardised.

    Args:
        coarsest: Cells along a side in the coarsest octave.
        slope: How fast octaves weaken: 0 is white at all scales, 2 is smooth.
    """
    field = rng.standard_normal((coarsest, coarsest), dtype=np.float32)
    cells, strength = coarsest, 1.0
    while cells < size:
        cells, strength = min(2 * cells, size), strength * 0.5**slope
        field = np.asarray(cv2.resize(field, (cells, cells), interpolation=cv2.INTER_CUBIC), np.float32)
        field += np.float32(strength) * rng.standard_normal((cells, cells), dtype=np.float32)
    return standardise(field)


def smooth(rng: Generator, size: int, cells: int) -> np.ndarray:
    """One octave of noise with `cells` cells along a side, standardised."""
    small = rng.standard_normal((max(2, cells), max(2, cells)), dtype=np.float32)
    return standardise(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC))


def directional(rng: Generator, size: int, angle: float, length: float = 12.0) -> np.ndarray:
    """Streaks along `angle` (radians, from x towards y), standardised."""
    wide = int(size * 1.5)
    noise: np.ndarray = rng.standard_normal((wide, max(2, int(wide / length))), dtype=np.float32)
    noise = cv2.resize(noise, (wide, wide), interpolation=cv2.INTER_CUBIC)
    turn: np.ndarray = cv2.getRotationMatrix2D((wide / 2, wide / 2), -np.degrees(angle), 1.0)
    turn[:, 2] -= (wide - size) / 2
    return standardise(cv2.warpAffine(noise, turn, (size, size), borderMode=cv2.BORDER_REFLECT))


def crowns(rng: Generator, size: int, spacing: float, cover: float = 1.0) -> np.ndarray:
    """Tree crowns lit from one side: bright domes with dark gaps, standardised.

    Args:
        spacing: Mean distance of neighbours in pixels.
        cover: Share of places that hold a tree.
    """
    fine = 2 if spacing < 5 else 1  # small crowns need sub-pixel places
    side = size * fine
    count = max(8, int(cover * (size / spacing) ** 2))
    seeds = np.full((side, side), 255, np.uint8)
    seeds[rng.integers(0, side, count), rng.integers(0, side, count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    shade = rng.uniform(0.5, 1.3, labels.max() + 1).astype(np.float32)[labels]
    dome = np.maximum(0.0, 1.0 - distance / (spacing * fine * 0.6)) * shade
    reach = max(1, int(spacing * fine * 0.25))
    lit = dome + 0.8 * (dome - np.roll(dome, (reach, reach), (0, 1)))
    if fine > 1:
        lit = cv2.resize(lit, (size, size), interpolation=cv2.INTER_AREA)
    return standardise(lit)


def cells(rng: Generator, size: int, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Voronoi cells: their number at every pixel (int32, from 0) and the distance to the nearest seed (float32)."""
    count = max(3, int((size / spacing) ** 2))
    seeds = np.full((size, size), 255, np.uint8)
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return labels - 1, distance


def hillshade(height: np.ndarray, sun: float, steepness: float) -> np.ndarray:
    """Lambertian shading of a height field lit from direction `sun` (radians): float32, 0.4 to 1.45, flat is 1."""
    dy, dx = np.gradient(height)
    slope = (dx * np.cos(sun) + dy * np.sin(sun)) * steepness
    return np.clip((1.0 + slope) / np.sqrt(1.0 + (dx * dx + dy * dy) * steepness**2), 0.4, 1.45).astype(np.float32)


def grain(rng: Generator, size: int) -> np.ndarray:
    """A texture of a random kind, standardised: what a surface looks like apart from its colour."""
    kind = rng.choice(6, p=[0.24, 0.28, 0.14, 0.12, 0.12, 0.10])
    if kind == 0:
        return fractal(rng, size, int(rng.choice([4, 8, 16, 32])), rng.uniform(0.2, 1.4))
    if kind == 1:
        return crowns(rng, size, rng.uniform(3, 14), rng.uniform(0.4, 1.0))
    if kind == 2:
        return directional(rng, size, rng.uniform(0, np.pi), rng.uniform(4, 30))
    if kind == 3:
        number, distance = cells(rng, size, rng.uniform(5, 28))
        tone = rng.standard_normal(number.max() + 1).astype(np.float32)[number]
        return standardise(tone * rng.uniform(0, 1) + standardise(distance) * rng.uniform(-1, 1))
    if kind == 4:
        period = rng.uniform(4, 18)  # furrows or terraces, following a slope
        return np.sin(fractal(rng, size, 2, 1.6) * (size / period) * 0.7 + rng.uniform(0, 6)).astype(np.float32)
    return rng.standard_normal((size, size), dtype=np.float32)
