"""Random shapes for the light SAM's training scenes: boolean masks of `size` x `size` pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from apsam.sam.training.textures import fractal, smooth


def blob(rng: Generator, size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """A round, elongated or lobed patch with an edge from smooth to ragged."""
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 1.1))
    u, v = _turned(size, centre, angle)
    distance = cv2.magnitude(u, v * np.float32(stretch**2)) / np.float32(radius * stretch)
    wobble = np.float32(rng.uniform(0, 0.35)) * smooth(rng, size, int(rng.integers(3, 14)) + int(size / radius / 2))
    ragged = np.float32(rng.uniform(0, 0.12)) * fractal(rng, size, 16, 0.6)
    return distance + wobble + ragged < 1


def tongue(rng: Generator, size: int, centre: np.ndarray, radius: float, downhill: float) -> np.ndarray:
    """A landslide: crown, flow along `downhill` (radians) that winds a little, toe that may spread."""
    length = radius * rng.uniform(1.6, 4.0)
    steps = 24
    turn = downhill + np.cumsum(rng.normal(0, 0.09, steps)) + rng.uniform(-0.25, 0.25)
    way = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], 1), 0) * (length / steps)
    way = way - way.mean(0) + centre
    t = np.linspace(0, 1, steps)
    profile = rng.uniform(0.35, 1.0) + rng.uniform(-0.5, 0.9) * t + rng.uniform(-0.5, 0.6) * np.sin(np.pi * t)
    width = np.maximum(0.2, profile * (1 + rng.normal(0, 0.1, steps))) * radius * rng.uniform(0.5, 1.0)
    normal = np.stack([-np.sin(turn), np.cos(turn)], 1)
    skew = 1 + rng.normal(0, 0.15, (2, steps))
    left, right = way + normal * (width * skew[0])[:, None], way - normal * (width * skew[1])[:, None]
    return _roughened(rng, _polygon(size, np.concatenate([left, right[::-1]])), radius)


def fan(rng: Generator, size: int, centre: np.ndarray, radius: float, downhill: float) -> np.ndarray:
    """A debris fan: narrow at the top, a wide rounded toe below; or the triangle of a road cutting."""
    spread, reach = rng.uniform(0.25, 0.9), radius * rng.uniform(1.5, 2.6)
    angles = downhill + np.linspace(-spread, spread, 12)
    ends = reach * (1 + rng.normal(0, 0.07, 12) + rng.uniform(-0.2, 0.3) * np.cos(np.linspace(-1.5, 1.5, 12)))
    top = centre - 0.5 * reach * np.array([np.cos(downhill), np.sin(downhill)])
    points = top + np.stack([np.cos(angles), np.sin(angles)], 1) * ends[:, None]
    neck = rng.uniform(0.03, 0.25) * radius * np.array([-np.sin(downhill), np.cos(downhill)])
    shape = np.concatenate([[top - neck], points, [top + neck]])
    if rng.random() < 0.3:  # upside down: a wide scarp that funnels
        shape = 2 * centre - shape
    return _roughened(rng, _polygon(size, shape), radius)


def ring(rng: Generator, size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """A hollow object: a blob with a hole."""
    inner = centre + rng.uniform(-0.15, 0.15, 2) * radius
    return blob(rng, size, centre, radius) & ~blob(rng, size, inner, radius * rng.uniform(0.3, 0.6))


def strip(rng: Generator, size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """A long thin object that winds."""
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.16, 30))
    way = np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1), 0) * (radius * rng.uniform(2.0, 4.5) / 30)
    way = way - way.mean(0) + centre
    mask = np.zeros((size, size), np.uint8)
    width = max(2, int(radius * rng.uniform(0.15, 0.5)))
    cv2.polylines(mask, [np.round(way).astype(np.int32)], False, 1, width)
    return mask.astype(bool)


def angular(rng: Generator, size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """A field, roof or yard: a polygon with straight edges."""
    corners = int(rng.integers(3, 7))
    sector = 2 * np.pi / corners
    angles = rng.uniform(0, 0.7 * sector, corners) + np.arange(corners) * sector
    if rng.random() < 0.5:  # a rectangle
        half = rng.uniform(0.3, 0.8)
        angles = np.array([half, np.pi - half, np.pi + half, -half]) + rng.uniform(0, np.pi)
    points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    return _polygon(size, points)


def curve(rng: Generator, size: int, winding: float) -> np.ndarray:
    """A line that crosses the image, (points, 2) float pixels: the middle of a road or river."""
    heading = rng.uniform(0, 2 * np.pi)
    start = size / 2 + rng.uniform(-0.45, 0.45, 2) * size
    steps = 48
    drift = np.cumsum(rng.normal(0, winding, 2 * steps))
    angle = heading + drift - drift[steps]
    step = np.stack([np.cos(angle), np.sin(angle)], 1) * (1.6 * size / steps / 2)
    way = np.cumsum(step, 0)
    return way - way[steps] + start


def _turned(size: int, centre: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of every pixel along and across `angle`, from `centre`."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * c + y * s, y * c - x * s


def _polygon(size: int, points: np.ndarray) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1, shift=4)
    return mask.astype(bool)


def _roughened(rng: Generator, mask: np.ndarray, radius: float) -> np.ndarray:
    """Move the outline in and out by noise."""
    size = mask.shape[0]
    signed: np.ndarray = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    signed -= cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    bulges = int(rng.integers(5, 10)) + int(size / radius)
    coarse = np.float32(rng.uniform(0, 0.22) * radius) * smooth(rng, size, bulges)
    fine = np.float32(rng.uniform(0, 0.07) * radius) * fractal(rng, size, 16, 0.5)
    return signed + coarse + fine > 0
