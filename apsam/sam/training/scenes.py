"""Random scenes with object masks, to train and to test the light SAM. Nothing here comes from real images.

A scene is ground (several land covers over a relief), things built on it (roads, rivers, roofs, fields) and
objects. Objects of one group look alike; those of another group differ. More than half of the groups are
landslide-like: bare soil in vegetation that keeps the relief's shading, with streaks down the slope, vegetated
spots and ragged edges. The rest may be anything that stands out by colour, by grain, or by both. The whole is
then hazed, blurred, noised and compressed as real imagery is.

Training and held-out scenes differ in their seeds and in the ranges of `SceneRanges`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from apsam.sam.training import shapes
from apsam.sam.training.textures import cells, crowns, directional, fractal, grain, hillshade, smooth
from apsam.sam.training.visibility import only_visible, without_crumbs

SIZE = 256


@dataclass(frozen=True)
class SceneRanges:
    """What scenes are drawn from: (low, high) of each quantity."""

    radius: tuple[float, float] = (11.0, 80.0)  # pixels
    contrast: tuple[float, float] = (0.4, 1.0)  # share of an object's own look that shows
    blur: tuple[float, float] = (0.0, 1.8)  # pixels
    noise: tuple[float, float] = (0.0, 9.0)  # grey levels
    quality: tuple[int, int] = (30, 96)  # JPEG
    landslide_like: float = 0.6  # share of groups
    groups: tuple[int, int] = (1, 3)
    shapes: tuple[str, ...] = ("blob", "tongue", "fan", "ring", "strip", "angular")


TRAINING = SceneRanges()
HELD_OUT = SceneRanges(
    radius=(15.0, 65.0),
    contrast=(0.5, 0.95),
    blur=(0.2, 1.4),
    noise=(1.0, 7.0),
    quality=(40, 90),
    landslide_like=0.5,
    groups=(1, 2),
)

GREENS = np.array([[38, 58, 42], [52, 72, 48], [70, 92, 58], [60, 70, 50], [44, 84, 44], [86, 98, 70], [40, 62, 62]])
SOILS = np.array(
    [[176, 160, 128], [150, 132, 104], [196, 184, 158], [140, 122, 96], [166, 144, 130], [120, 110, 100],
     [205, 196, 178], [150, 120, 90], [132, 124, 116], [186, 158, 122], [112, 98, 78]]
)  # fmt: skip


@dataclass
class Scene:
    """One training image.

    Attributes:
        image: (256, 256, 3) uint8 RGB.
        objects: (256, 256) uint8, 0 = ground, k = object k. Objects do not overlap.
        group: Group of every object, index 0 unused: those of one group look alike.
    """

    image: np.ndarray
    objects: np.ndarray
    group: list[int]


def make_scene(rng: Generator, ranges: SceneRanges = TRAINING) -> Scene:
    """Draw one scene; the same generator state gives the same scene."""
    relief = fractal(rng, SIZE, int(rng.choice([2, 3, 4])), rng.uniform(1.3, 2.0))
    sun, steep = rng.uniform(0, 2 * np.pi), rng.uniform(0, 12) * rng.random()
    shade = hillshade(relief, sun, steep)[..., None]
    ground = _ground(rng, relief)
    objects = np.zeros((SIZE, SIZE), np.uint8)
    group: list[int] = [-1]
    _add_built(rng, ground)
    if rng.random() < 0.25:
        _add_fields(rng, ground, objects, group)
    image = ground * shade
    for _ in range(int(rng.integers(ranges.groups[0], ranges.groups[1] + 1))):
        image = _add_group(rng, ranges, image, shade, objects, group)
    if rng.random() < 0.25:
        _add_roofs(rng, image, objects)
    picture = _as_imagery(rng, ranges, image)
    return Scene(picture, only_visible(picture, without_crumbs(objects)), group)


def _surface(rng: Generator, colour: np.ndarray, strength: float) -> np.ndarray:
    """A surface of one land cover, (SIZE, SIZE, 3) float32: a colour, its grain and patches of another tint."""
    tint = _rgb(rng.normal(0, 7, 3)) * smooth(rng, SIZE, int(rng.integers(3, 16)))[..., None]
    return (_rgb(colour) + tint) * np.clip(1 + np.float32(strength) * grain(rng, SIZE), 0.2, 2.5)[..., None]


def _rgb(colour: np.ndarray) -> np.ndarray:
    return np.clip(colour, -255, 255).astype(np.float32)


def _ground_colour(rng: Generator) -> np.ndarray:
    kind = rng.random()
    if kind < 0.78:
        return GREENS[rng.integers(len(GREENS))] * rng.uniform(0.6, 1.5) + rng.normal(0, 8, 3)
    if kind < 0.94:
        return SOILS[rng.integers(len(SOILS))] * rng.uniform(0.4, 0.9) + rng.normal(0, 8, 3)
    return rng.uniform(20, 210, 3)


def _ground(rng: Generator, relief: np.ndarray) -> np.ndarray:
    """Land covers parted by noise, by height or by straight lines."""
    ground = _surface(rng, _ground_colour(rng), rng.uniform(0.03, 0.28))
    for _ in range(int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))):
        other = _surface(rng, _ground_colour(rng), rng.uniform(0.03, 0.28))
        field = fractal(rng, SIZE, int(rng.integers(2, 7)), rng.uniform(0.7, 1.6))
        if rng.random() < 0.3:
            field = field * 0.4 + relief
        sharp = np.float32(1 / rng.uniform(0.03, 0.6))
        share = np.clip((field - np.float32(rng.uniform(-0.3, 1.4))) * sharp + 0.5, 0, 1)
        ground += (other - ground) * share[..., None]
    return np.clip(ground, 4, 250).astype(np.float32)


def _paint(image: np.ndarray, mask: np.ndarray, surface: np.ndarray | float) -> None:
    """Lay `surface` over `image` in place, `mask` (SIZE, SIZE) float 0..1 being its opacity."""
    image += (surface - image) * mask[..., None]


def _line_mask(points: np.ndarray, width: float, soft: float) -> np.ndarray:
    mask: np.ndarray = np.zeros((SIZE, SIZE), np.uint8)
    cv2.polylines(mask, [np.round(points * 8).astype(np.int32)], False, 255, max(1, round(width)), cv2.LINE_AA, 3)
    if soft > 0.2:
        mask = cv2.GaussianBlur(mask, (0, 0), soft)
    return mask.astype(np.float32) / 255


def _add_built(rng: Generator, ground: np.ndarray) -> None:
    """Roads (light, even), tracks (soil) and rivers (dark or muddy, wide). Never objects: they distract."""
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.4, 0.32, 0.18, 0.1]))):
        way = shapes.curve(rng, SIZE, rng.uniform(0.01, 0.16))
        if rng.random() < 0.2:
            colour, width = rng.uniform([20, 35, 35], [120, 120, 110]), rng.uniform(10, 45)
        else:
            colour, width = SOILS[rng.integers(len(SOILS))] * rng.uniform(0.8, 1.2), rng.uniform(1.5, 10)
            if rng.random() < 0.5:
                colour = rng.uniform(110, 235) + rng.normal(0, 6, 3)
        rough = 1 + np.float32(0.06) * fractal(rng, SIZE, 16, 0.5)[..., None]
        _paint(ground, _line_mask(way, width, rng.uniform(0, 1.5)), _rgb(colour) * rough)


def _add_fields(rng: Generator, ground: np.ndarray, objects: np.ndarray, group: list[int]) -> None:
    """A patchwork of fields; a few of them may be asked for."""
    number, _ = cells(rng, SIZE, rng.uniform(30, 70))
    where = fractal(rng, SIZE, 3, 1.5) > rng.uniform(-0.8, 0.6)
    for cell in rng.permutation(number.max() + 1)[:12]:
        mask = (number == cell) & where
        if mask.sum() < 80:
            continue
        surface = _surface(rng, _ground_colour(rng), rng.uniform(0.02, 0.2))
        _paint(ground, cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7), surface)
        if rng.random() < 0.25:
            group.append(1000 + len(group))
            objects[mask] = len(group) - 1


def _add_roofs(rng: Generator, image: np.ndarray, objects: np.ndarray) -> None:
    """A hamlet: small bright or red rectangles with a shadow. Never objects: they distract."""
    centre, turn = rng.uniform(0, SIZE, 2), rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(2, 14))):
        place = centre + rng.normal(0, 22, 2)
        box = cv2.boxPoints(((float(place[0]), float(place[1])), tuple(rng.uniform(4, 15, 2)), np.degrees(turn)))
        mask = np.zeros((SIZE, SIZE), np.uint8)
        cv2.fillPoly(mask, [np.round(box).astype(np.int32)], 1)
        if (objects[mask > 0] > 0).any():
            continue
        _paint(image, np.roll(mask, (2, 2), (0, 1)).astype(np.float32) * 0.6, 20.0)
        colour = rng.uniform(90, 245) + rng.normal(0, 18, 3)
        _paint(image, mask.astype(np.float32), _rgb(colour))


def _add_group(
    rng: Generator, ranges: SceneRanges, image: np.ndarray, shade: np.ndarray, objects: np.ndarray, group: list[int]
) -> np.ndarray:
    """Draw 1 to 5 objects that look alike; returns the new image and extends `objects` and `group`."""
    landslide = rng.random() < ranges.landslide_like
    kind = rng.choice(["tongue", "fan", "blob"], p=[0.5, 0.2, 0.3]) if landslide else str(rng.choice(ranges.shapes))
    count = int(rng.choice([1, 2, 3, 4, 5], p=[0.5, 0.22, 0.13, 0.1, 0.05]))
    low, high = np.log(ranges.radius)
    typical = np.exp(rng.uniform(low, high, 1 + landslide).max()) / (1 + 0.18 * (count - 1))
    downhill = rng.uniform(0, 2 * np.pi)
    fill = np.zeros((SIZE, SIZE), bool)
    name = max(number for number in group if number < 1000) + 1
    for _ in range(count):
        centre = rng.uniform(-0.02, 1.02, 2) * SIZE
        radius = max(ranges.radius[0] * 0.8, typical * np.exp(rng.normal(0, 0.3)))
        mask = _shape(rng, str(kind), centre, radius, downhill)
        apart = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
        if mask.sum() < 60 or mask.mean() > 0.7 or (apart & fill).any():
            continue
        objects[mask] = len(group)
        group.append(name)
        fill |= mask
    if not fill.any():
        return image
    look = _landslide_look(rng, shade, downhill) if landslide else _other_look(rng, image, shade)
    opacity = _opacity(rng, ranges, fill)
    if landslide and rng.random() < 0.6:  # vegetation that stood fast
        spots = fractal(rng, SIZE, int(rng.choice([8, 16, 32])), 0.5) > rng.uniform(1.0, 2.2)
        standing = cv2.GaussianBlur(spots.astype(np.float32), (0, 0), 0.8) * np.float32(rng.uniform(0.4, 1))
        opacity = opacity * (1 - standing)
    image = image + (look - image) * opacity[..., None]
    if landslide and rng.random() < 0.35:  # the scarp's shadow or lit edge
        away = np.array([np.cos(downhill), np.sin(downhill)]) * rng.uniform(1.5, 5)
        move = np.array([[1, 0, -away[0]], [0, 1, -away[1]]], np.float32)
        f = fill.astype(np.float32)
        edge = np.clip(cv2.warpAffine(f, move, (SIZE, SIZE)) - f, 0, 1)
        depth = np.float32(rng.uniform(-0.3, 0.6))
        image = image * (1 - depth * cv2.GaussianBlur(edge, (0, 0), 0.9)[..., None])
    return image.astype(np.float32)


def _shape(rng: Generator, kind: str, centre: np.ndarray, radius: float, downhill: float) -> np.ndarray:
    if kind == "tongue":
        return shapes.tongue(rng, SIZE, centre, radius, downhill)
    if kind == "fan":
        return shapes.fan(rng, SIZE, centre, radius, downhill)
    return {"blob": shapes.blob, "ring": shapes.ring, "strip": shapes.strip, "angular": shapes.angular}[kind](
        rng, SIZE, centre, radius
    )


def _opacity(rng: Generator, ranges: SceneRanges, fill: np.ndarray) -> np.ndarray:
    """How far the objects' look covers the ground: contrast, edge softness and raggedness, fading parts."""
    signed: np.ndarray = cv2.distanceTransform(fill.astype(np.uint8), cv2.DIST_L2, 3)
    signed -= cv2.distanceTransform((~fill).astype(np.uint8), cv2.DIST_L2, 3)
    signed += np.float32(rng.uniform(0, 2.2)) * fractal(rng, SIZE, 32, 0.3)
    edge = np.clip(signed / np.float32(rng.uniform(0.8, 5.0)) + 0.5, 0, 1)
    fading = 1 - np.float32(rng.uniform(0, 0.45)) * np.clip(smooth(rng, SIZE, 5), 0, 1)
    low, high = ranges.contrast
    return (edge * fading * (low + (high - low) * rng.random() ** 0.5)).astype(np.float32)


def _landslide_look(rng: Generator, shade: np.ndarray, downhill: float) -> np.ndarray:
    """Bare soil and rock: shading goes on through it, streaks run downhill."""
    colour = _rgb(SOILS[rng.integers(len(SOILS))] * rng.uniform(0.75, 1.25) + rng.normal(0, 7, 3))
    second = _rgb(SOILS[rng.integers(len(SOILS))] * rng.uniform(0.6, 1.2))
    share = np.clip(0.5 + 0.5 * smooth(rng, SIZE, int(rng.integers(3, 12))), 0, 1) * np.float32(rng.uniform(0, 0.8))
    tone = 1 + np.float32(rng.uniform(0, 0.2)) * directional(rng, SIZE, downhill, rng.uniform(4, 20))
    speckle = fractal(rng, SIZE, int(rng.choice([8, 16, 32])), rng.uniform(0.2, 0.9))
    tone = np.clip(tone + np.float32(rng.uniform(0.02, 0.2)) * speckle, 0.3, 2)
    lit = tone[..., None] * shade ** np.float32(rng.uniform(0.3, 1.1))
    return (colour + (second - colour) * share[..., None]) * lit


def _other_look(rng: Generator, image: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Something else: another colour, only another grain, only another brightness, or water."""
    kind = rng.choice(4, p=[0.45, 0.25, 0.2, 0.1])
    if kind == 0:
        colour = rng.uniform(10, 245, 3) if rng.random() < 0.4 else _ground_colour(rng) * rng.uniform(0.6, 1.5)
        return _surface(rng, colour, rng.uniform(0.0, 0.35)) * shade ** np.float32(rng.uniform(0, 1))
    if kind == 1:
        mean = cv2.GaussianBlur(image, (0, 0), 12)
        texture = grain(rng, SIZE) if rng.random() < 0.6 else crowns(rng, SIZE, rng.uniform(4, 14))
        tone = 1 + np.float32(rng.uniform(0.15, 0.45)) * texture
        return mean * tone[..., None] + _rgb(rng.normal(0, 12, 3))
    if kind == 2:
        factor = rng.uniform(1.35, 2.2) if rng.random() < 0.5 else rng.uniform(0.3, 0.7)
        return image * np.float32(factor) + _rgb(rng.normal(0, 6, 3))
    ripple = 1 + np.float32(0.04) * fractal(rng, SIZE, 8, 1.0)
    return _rgb(rng.uniform([10, 25, 25], [90, 120, 120])) * ripple[..., None]


def _as_imagery(rng: Generator, ranges: SceneRanges, image: np.ndarray) -> np.ndarray:
    """Light, haze, sensor and file: float scene to uint8 RGB."""
    light = 1 + np.float32(rng.uniform(0, 0.15)) * smooth(rng, SIZE, 2)
    bytes_ = np.clip(image * light[..., None], 0, 255).astype(np.uint8)
    curve = 255 * (np.arange(256) / 255) ** rng.uniform(0.65, 1.2)
    haze = rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0
    veil = haze * (rng.uniform(70, 170) + rng.normal(0, [8, 8, 12]))
    gain = rng.uniform(0.85, 1.25) * (1 + rng.normal(0, 0.06, 3)) * (1 - haze)
    tables = np.clip(curve[:, None] * gain + veil, 0, 255).astype(np.float32)  # (256, 3)
    image = cv2.merge([tables[bytes_[..., band], band] for band in range(3)])
    if rng.random() < 0.05:
        image = np.ascontiguousarray(image[..., rng.permutation(3)])
    if rng.random() < 0.3:  # a small crop that was enlarged
        side = int(rng.integers(90, 230))
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        image = image + _sensor_noise(rng, ranges, image.shape)
        image = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    blur = rng.uniform(*ranges.blur)
    if blur > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    if rng.random() < 0.3:  # sharpened
        image = image + np.float32(rng.uniform(0.2, 1.2)) * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    image = image + _sensor_noise(rng, ranges, image.shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(ranges.quality[0], ranges.quality[1]))
        file = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
        assert decoded is not None
        image = decoded
    return np.ascontiguousarray(image)


def _sensor_noise(rng: Generator, ranges: SceneRanges, shape: tuple[int, ...]) -> np.ndarray:
    return np.float32(rng.uniform(*ranges.noise) * rng.random()) * rng.standard_normal(shape, dtype=np.float32)
