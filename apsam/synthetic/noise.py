"""Random fields, used by all parts of a synthetic scene."""

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

Field2D = NDArray[np.float32]
_SQRT_4PI = 2.0 * np.sqrt(np.pi)


def random_stream(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on the seed and the names only, alike on every machine."""
    digest = hashlib.sha256("/".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Field2D:
    """Gaussian noise of mean 0 and standard deviation about 1, correlated over `sigma` pixels.

    Wide correlations are drawn on a coarse grid and enlarged, so that the cost does not grow with sigma.
    """
    step = max(1.0, sigma / 2.5)
    height, width = (int(np.ceil(side / step)) + 8 for side in shape)
    coarse = rng.standard_normal((height, width), dtype=np.float32)
    coarse_sigma = max(sigma / step, 0.05)
    if coarse_sigma > 0.3:
        coarse = np.asarray(cv2.GaussianBlur(coarse, (0, 0), coarse_sigma, borderType=cv2.BORDER_REFLECT), np.float32)
        coarse *= _SQRT_4PI * coarse_sigma
    if step == 1.0:
        return coarse[: shape[0], : shape[1]].copy()
    # An affine map, not a resize: the step stays exact whatever the shape.
    grid = np.array([[1 / step, 0, 4], [0, 1 / step, 4]], np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(coarse, grid, shape[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(fine, np.float32)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma: float, octaves: int = 3, gain: float = 0.5
) -> Field2D:
    """Sum of `smooth_noise` at sigma, sigma/2, ... with falling weights; standard deviation about 1."""
    weights = gain ** np.arange(octaves)
    weights /= np.sqrt((weights**2).sum())
    total = np.zeros(shape, np.float32)
    for octave, weight in enumerate(weights):
        total += np.float32(weight) * smooth_noise(rng, shape, sigma / 2**octave)
    return total


def smoothstep(values: NDArray[np.floating], low: float | np.floating, high: float | np.floating) -> Field2D:
    """0 below `low`, 1 above `high`, smooth between (Hermite); `low` > `high` turns it round."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def scattered_cells(
    rng: np.random.Generator, shape: tuple[int, int], spacing: float
) -> tuple[Field2D, NDArray[np.int32], int]:
    """Cells around points scattered about `spacing` pixels apart: distance to the point, cell id, count."""
    step = max(spacing, 1.5)
    rows, cols = (np.arange(-0.5, side / step + 0.5) for side in shape)
    points = np.stack(np.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)
    points = ((points + rng.uniform(0, 1, points.shape)) * step).astype(np.int64)
    inside = ((points >= 0) & (points < shape)).all(1)
    points = points[inside]
    seeds = np.ones(shape, np.uint8)
    seeds[points[:, 0], points[:, 1]] = 0
    distance, cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return np.asarray(distance, np.float32), np.asarray(cells, np.int32), int(cells.max()) + 1
