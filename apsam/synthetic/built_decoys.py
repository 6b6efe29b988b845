"""Bare ground made by building: tracks with their cuts, quarries, hamlets."""

import cv2
import numpy as np
from numpy.typing import NDArray

from apsam.synthetic.noise import (
    fractal_noise,
    random_stream,
    smoothstep,
)
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Soils, Surface, distance_to_line, soil_texture
from apsam.synthetic.terrain import Terrain

ROOFS = np.array([(0.44, 0.48, 0.55), (0.56, 0.31, 0.25), (0.78, 0.78, 0.76), (0.38, 0.35, 0.33)], np.float32)


def lay_tracks(
    name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils
) -> list[NDArray[np.float64]]:
    """Unpaved tracks along the slope, with bare cuts above them. Returns their lines, (n, 2) of (x, y)."""
    rng = random_stream(settings.seed, name, "roads")
    metre, shape = settings.resolution_m, terrain.shape
    lines: list[NDArray[np.float64]] = []
    water = surface.shows(("water",))
    ragged = 0.35 * fractal_noise(rng, shape, 3 / metre, 3)
    depth = np.clip(fractal_noise(rng, shape, 16 / metre, 4, 0.6) - 0.1, 0, 1.2) * 5.0
    depth *= np.clip(terrain.slope * 2, 0.2, 1.2)
    grain = soil_texture(rng, shape, np.ones(3, np.float32), metre)
    wanted = int(np.ceil(rng.uniform(1.4, 3.0) * settings.decoys))
    for _ in range(6 * wanted):
        if len(lines) == wanted:
            break
        side = rng.uniform(0.15, 0.85, 2) * shape[0]
        start = side * rng.uniform(0.4, 1, 2)
        forward = rng.uniform(0, 2 * np.pi)
        heading = np.array([np.cos(forward), np.sin(forward)])
        back = terrain.follow_contour(rng, start, -heading, rng.uniform(-0.15, 0.15))
        ahead = terrain.follow_contour(rng, start, heading, rng.uniform(-0.15, 0.15))
        line = np.concatenate([back[::-1], ahead])
        pixels = np.clip(line, 0, np.array(shape[::-1]) - 1).astype(int)
        if water[pixels[:, 1], pixels[:, 0]].mean() > 0.06:
            continue
        distance, nearest = distance_to_line(shape, line)
        distance *= metre
        near = distance < 14
        above = terrain.height - terrain.height.ravel()[nearest] > 0.15
        half = rng.uniform(1.6, 2.6)
        soil = soils.draw(rng) * rng.uniform(0.95, 1.12)
        cuts = smoothstep((half + depth) * above - distance - 1.6 * ragged, -0.4, 0.6)
        cuts *= near & ~water
        texture = grain * soil
        surface.lay(texture * np.float32(0.9), cuts)
        surface.ground -= 1.2 * cuts * smoothstep(distance, half + 2.5, half)
        surface.mark("road cut", cuts > 0.5)
        bed = smoothstep(half - distance + ragged, -0.35, 0.35)
        ruts = 1 - 0.12 * np.exp(-(((distance - 0.75) / 0.3) ** 2))
        surface.lay(texture * ruts[..., None].astype(np.float32) * np.float32(1.06), bed)
        surface.mark("track", bed > 0.5)
        lines.append(line)
    return lines


def lay_quarries(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """Quarries: angular outline, level floor, benches cut back into the slope. Not in every scene."""
    rng = random_stream(settings.seed, name, "quarry")
    metre, shape = settings.resolution_m, terrain.shape
    for _ in range(int(settings.decoys * rng.uniform(0.6, 3.0))):
        spots = rng.integers(int(0.08 * shape[0]), int(0.92 * shape[0]), (16, 2))
        steep = np.abs(terrain.slope[spots[:, 0], spots[:, 1]] - 0.4)
        steep += 5.0 * (np.abs(terrain.river_offset[spots[:, 0], spots[:, 1]]) < terrain.floor_width + 35)
        row, col = spots[np.argmin(steep)]
        angles = np.sort(rng.uniform(0, 2 * np.pi, 8)) + rng.uniform(0, 6)
        radii = rng.uniform(18, 36, 8) / metre
        corners = np.stack([col + radii * np.cos(angles), row + radii * np.sin(angles)], -1)
        filled = cv2.fillPoly(np.zeros(shape, np.uint8), [np.rint(corners).astype(np.int32)], 1)
        filled[surface.shows(("water",))] = 0
        depth = cv2.distanceTransform(filled, cv2.DIST_L2, 5) * np.float32(metre)
        ragged = 0.4 * fractal_noise(rng, shape, 3 / metre, 3)
        alpha = smoothstep(depth + ragged, 0.2, 0.9) * (filled > 0)
        inward = depth + ragged
        drop = 3.0 * (np.floor(inward / 4.5) + np.clip(inward % 4.5 / 0.9, 0, 1))
        floor = np.quantile(surface.ground[filled > 0], 0.15) if filled.any() else 0.0
        level = cv2.GaussianBlur(surface.ground, (0, 0), 6 / metre)
        pit = np.maximum(level - drop, floor + 0.01 * (level - floor) + 0.06 * ragged)
        pit += 0.8 * smoothstep(fractal_noise(rng, shape, 4 / metre, 2), 1.0, 1.8)
        face = smoothstep(inward % 4.5, 1.1, 0.9) * (pit > floor + 0.6)
        texture = soil_texture(rng, shape, soils.draw(rng) * np.float32(1.06), metre)
        surface.lay(texture * (1.05 - 0.14 * face)[..., None].astype(np.float32), alpha)
        surface.ground += alpha * (np.minimum(pit, surface.ground) - surface.ground).astype(np.float32)
        surface.mark("quarry", alpha > 0.5)


def lay_houses(
    name: str,
    settings: SyntheticSettings,
    terrain: Terrain,
    surface: Surface,
    soils: Soils,
    lines: list[NDArray[np.float64]],
) -> None:
    """Hamlets next to the tracks: gabled roofs that throw shadows, with bare yards about them."""
    rng = random_stream(settings.seed, name, "houses")
    metre, shape = settings.resolution_m, terrain.shape
    for line in lines:
        inside = line[((line > 30) & (line < np.array(shape[::-1]) - 30)).all(1)]
        if len(inside) < 20:
            continue
        for _ in range(rng.integers(0, 3)):
            middle = rng.integers(8, len(inside) - 8)
            for _ in range(rng.integers(3, 9)):
                at = int(np.clip(middle + rng.integers(-7, 8), 1, len(inside) - 2))
                along = inside[at + 1] - inside[at - 1]
                along /= np.hypot(*along) + 1e-9
                across = np.array([-along[1], along[0]]) * rng.choice([-1, 1])
                centre = inside[at] + across * rng.uniform(8, 20) / metre
                _house(rng, terrain, surface, soils, centre, along, metre)


def _house(
    rng: np.random.Generator,
    terrain: Terrain,
    surface: Surface,
    soils: Soils,
    centre: NDArray[np.float64],
    along: NDArray[np.float64],
    metre: float,
) -> None:
    reach = int(18 / metre)
    col, row = (int(value) for value in centre)
    if not (reach < row < terrain.shape[0] - reach and reach < col < terrain.shape[1] - reach):
        return
    rows, cols = slice(row - reach, row + reach), slice(col - reach, col + reach)
    near = slice(row - 9, row + 9), slice(col - 9, col + 9)
    if surface.shows(("water", "house"), *near).any():
        return
    y, x = np.mgrid[-reach:reach, -reach:reach].astype(np.float32) * np.float32(metre)
    u, v = x * along[0] + y * along[1], -x * along[1] + y * along[0]
    length, width = rng.uniform(4, 8), rng.uniform(2.6, 4)
    ragged = fractal_noise(rng, u.shape, 3 / metre, 2)
    off = np.maximum(np.abs(u) - length, np.abs(v) - width)
    yard = smoothstep(off + ragged, rng.uniform(2, 6), 0.5) * (surface.decoy[rows, cols] == 0)
    surface.lay(soil_texture(rng, u.shape, soils.draw(rng), metre), yard, rows, cols)
    roof = smoothstep(off, 0.25, -0.25)
    tone = ROOFS[rng.integers(len(ROOFS))] * rng.uniform(0.85, 1.15)
    tiles = 1 + 0.05 * np.sin(u * 5)[..., None] - 0.1 * smoothstep(np.abs(v), 0.4, 0.1)[..., None]
    surface.lay((tone * tiles).astype(np.float32), roof, rows, cols)
    surface.canopy[rows, cols] += roof * (4.0 + 1.6 * (1 - np.abs(v) / width)).astype(np.float32)
    surface.mark("yard", yard > 0.5, rows, cols)
    surface.mark("house", roof > 0.5, rows, cols)
