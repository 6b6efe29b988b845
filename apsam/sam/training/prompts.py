"""Prompts for training: boxes, points and coarse maps with the errors of real class activation maps.

A prompt is for one object, or for several alike that its box covers. Boxes are too big, too small, shifted,
cut at the border; points are anywhere inside; the map is low-resolution, too wide, shifted, uneven or partial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator

from apsam.sam.training.scenes import Scene

Kind = Literal["both", "box", "point"]
KINDS: tuple[Kind, ...] = ("both", "box", "point")
KIND_SHARES = (0.5, 0.22, 0.28)
MAP_SHARE = 0.35
MASK_SIDE = 128
SMALLEST = 150  # minimum size of an object with a prompt, pixels


@dataclass
class Prompt:
    """One prompt with its target. Pixels of the 256 px tile.

    Attributes:
        kind: Parts that are given: "both" box and point, only the "box", only the "point".
        point: (2,) float32 x, y; always inside the object, used unless kind is "box".
        box: (4,) float32 x0, y0, x1, y1; used unless kind is "point".
        coarse_map: (128, 128) uint8 like a CAM, or None.
        target: (256, 256) bool.
    """

    kind: Kind
    point: np.ndarray
    box: np.ndarray
    coarse_map: np.ndarray | None
    target: np.ndarray


def draw_prompts(rng: Generator, scene: Scene, count: int) -> list[Prompt]:
    """Draw `count` training prompts for a scene; none if it has no object of at least SMALLEST pixels."""
    areas = np.bincount(scene.objects.ravel(), minlength=len(scene.group))
    numbers = [number for number in range(1, len(scene.group)) if areas[number] >= SMALLEST]
    if not numbers:
        return []
    weights = np.array([areas[n] ** 0.25 * (1.0 if scene.group[n] < 1000 else 0.4) for n in numbers])
    chosen = rng.choice(numbers, count, p=weights / weights.sum())
    depths: dict[int, np.ndarray] = {}
    return [_draw(rng, scene, areas, int(number), depths) for number in chosen]


def _draw(rng: Generator, scene: Scene, areas: np.ndarray, number: int, depths: dict[int, np.ndarray]) -> Prompt:
    kind: Kind = KINDS[rng.choice(3, p=KIND_SHARES)]
    members = [number]
    alike = [n for n in range(1, len(scene.group)) if scene.group[n] == scene.group[number] and areas[n] >= SMALLEST]
    if kind != "point" and len(alike) > 1 and rng.random() < 0.25:
        others = [n for n in alike if n != number]
        members += [int(n) for n in rng.permutation(others)[: int(rng.integers(1, 3))]]
    box = distorted_box(rng, tight_box(_union(scene.objects, members)), scene.objects.shape)
    if kind != "point":  # objects mostly inside the box belong to the target too
        x0, y0, x1, y1 = np.round(box).astype(int)
        inside = np.bincount(scene.objects[y0 : y1 + 1, x0 : x1 + 1].ravel(), minlength=len(scene.group))
        members = [n for n in alike if n == number or inside[n] > 0.65 * areas[n]]
    target = _union(scene.objects, members)
    if number not in depths:
        depths[number] = depth_inside(scene.objects == number)
    point = _point(rng, depths[number])
    coarse = coarse_map(rng, target, scene.objects > 0) if rng.random() < MAP_SHARE else None
    return Prompt(kind, point, box, coarse, target)


def tight_box(mask: np.ndarray) -> np.ndarray:
    """Return x0, y0, x1, y1 of a mask's first and last pixels, float32."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], np.float32)


def jittered_box(rng: Generator, box: np.ndarray, shape: tuple[int, int], share: float = 0.1) -> np.ndarray:
    """Move every side of a box by up to `share` of the box's width or height, within the tile."""
    extent = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    return _within(box + rng.uniform(-share, share, 4) * extent, shape)


def distorted_box(rng: Generator, box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Distort a box like those from a CAM: about right, too big, too small, or next to the object."""
    extent = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    side = np.array([-1, -1, 1, 1])
    way = rng.choice(4, p=[0.45, 0.27, 0.16, 0.12])
    if way == 0:
        return jittered_box(rng, box, shape, 0.12)
    if way == 1:
        grown = box + side * rng.uniform(0.0, 0.5, 4) * np.maximum(extent, 12) * rng.uniform(0.2, 1)
        return jittered_box(rng, grown, shape, 0.05)
    if way == 2:
        return jittered_box(rng, box - side * rng.uniform(0.0, 0.28, 4) * extent, shape, 0.03)
    shift = rng.normal(0, 0.14, 2) * extent[:2]
    return jittered_box(rng, box + np.tile(shift, 2), shape, 0.1)


def _union(objects: np.ndarray, members: list[int]) -> np.ndarray:
    """Mask (bool) of several objects; `np.isin`, but quick."""
    table = np.zeros(256, bool)
    table[members] = True
    return table[objects]


def depth_inside(mask: np.ndarray) -> np.ndarray:
    """Distance of a mask's pixels to what is not mask; the tile's border counts as that. float32."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]


def interior_point(rng: Generator | None, mask: np.ndarray) -> np.ndarray:
    """Return a pixel of the mask, (x, y) float32: at random, more often deep inside; without `rng` the deepest."""
    return _point(rng, depth_inside(mask))


def _point(rng: Generator | None, depth: np.ndarray) -> np.ndarray:
    way = 1.0 if rng is None else rng.random()
    if rng is None or way < 0.2:
        place = int(depth.argmax())
    else:
        places = np.flatnonzero(depth)
        weights = depth.ravel()[places].astype(np.float64) ** (0.0 if way < 0.4 else 1.5)
        place = int(rng.choice(places, p=weights / weights.sum()))
    return np.array([place % depth.shape[1], place // depth.shape[1]], np.float32)


def coarse_map(rng: Generator, target: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Draw a CAM-like map of `target`: (128, 128) uint8, maximum 255."""
    heat = cv2.resize(target.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
    extent = np.sqrt(heat.sum())
    if rng.random() < 0.3:  # other objects have high values too
        others = cv2.resize((objects & ~target).astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
        heat = np.maximum(heat, others * np.float32(rng.uniform(0.1, 0.8)))
    if rng.random() < 0.3:  # only a part has high values
        y, x = np.mgrid[:64, :64].astype(np.float32)
        angle = rng.uniform(0, 2 * np.pi)
        rows, columns = np.nonzero(heat > 0.5) if (heat > 0.5).any() else np.nonzero(heat > 0)
        along = (x - columns.mean()) * np.cos(angle) + (y - rows.mean()) * np.sin(angle)
        heat = heat * (1 / (1 + np.exp(-np.clip(along / max(1.0, 0.15 * extent), -20, 20)))).astype(np.float32)
    shift = rng.normal(0, 0.12 * extent + 0.6, 2)
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    heat = cv2.warpAffine(heat, move, (64, 64), borderMode=cv2.BORDER_REPLICATE)
    heat = cv2.GaussianBlur(heat, (0, 0), rng.uniform(0.6, 3.0) + rng.uniform(0, 0.35) * extent)
    cells = int(rng.choice([8, 16, 16, 32]))
    heat = cv2.resize(heat, (cells, cells), interpolation=cv2.INTER_AREA)
    heat = heat * (1 + 0.2 * rng.random() * rng.standard_normal(heat.shape, dtype=np.float32))
    heat = np.clip(heat + rng.uniform(0, 0.08) * rng.random(heat.shape, dtype=np.float32), 0, None)
    heat = (heat / (heat.max() + 1e-6)) ** np.float32(rng.uniform(0.45, 1.5))
    heat = cv2.resize(heat, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_LINEAR)
    return np.rint(255 * heat / max(float(heat.max()), 1e-6)).astype(np.uint8)


def _within(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Clip a box to the tile and keep it at least 2 pixels wide and high."""
    height, width = shape
    x0, x1 = np.clip(np.sort(box[[0, 2]]), 0, width - 1)
    y0, y1 = np.clip(np.sort(box[[1, 3]]), 0, height - 1)
    x0, y0 = min(x0, width - 3), min(y0, height - 3)
    return np.array([x0, y0, max(x1, x0 + 2), max(y1, y0 + 2)], np.float32)
