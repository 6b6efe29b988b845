"""What misleads: bare ground in the landslides' own colours that no landslide has laid open."""

import cv2
import numpy as np
from numpy.typing import NDArray

from apsam.synthetic.noise import Field2D, fractal_noise, random_stream, scattered_cells, smooth_noise, smoothstep
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Soils, Surface, distance_to_line
from apsam.synthetic.terrain import Terrain

KINDS = ("water", "river bar", "field", "track", "road cut", "quarry", "house", "yard", "outcrop", "clearing")
CROPS = np.array([(0.30, 0.38, 0.18), (0.38, 0.42, 0.22), (0.47, 0.44, 0.27), (0.24, 0.31, 0.17)], np.float32)
ROOFS = np.array([(0.44, 0.48, 0.55), (0.56, 0.31, 0.25), (0.78, 0.78, 0.76), (0.38, 0.35, 0.33)], np.float32)


def _mark(surface: Surface, kind: str, where: NDArray[np.bool_]) -> None:
    surface.decoy[where] = KINDS.index(kind) + 1


def _soil_texture(rng: np.random.Generator, shape: tuple[int, int], soil: Field2D, metre: float) -> Field2D:
    """Soil with blotches and grain: (H, W, 3)."""
    grain = 1 + 0.08 * fractal_noise(rng, shape, 6 / metre, 4, 0.75)
    return grain[..., None] * soil


def lay_river(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """A river with gravel bars at its bends, or a stream bed that is mostly gravel."""
    rng = random_stream(settings.seed, name, "river")
    metre = settings.resolution_m
    shape = terrain.shape
    width = rng.uniform(0.25, 0.6) * terrain.floor_width
    sway = 0.45 * terrain.floor_width * np.sin(terrain.river_along / rng.uniform(24, 40) + rng.uniform(0, 6))
    ragged = 0.9 * fractal_noise(rng, shape, 5 / metre, 3)
    away = np.abs(terrain.river_offset - sway) + ragged
    bank = np.abs(terrain.river_offset) + 2.2 * ragged
    bars = fractal_noise(rng, shape, 14 / metre, 3) - 0.06 * (away - width) + rng.uniform(0.0, 0.5) * settings.decoys
    gravel = smoothstep(bars, 0.25, 0.4) * smoothstep(bank, terrain.floor_width + 1, terrain.floor_width - 1)
    gravel = np.maximum(gravel, smoothstep(away, width + 3.0, width + 2.0)) * min(settings.decoys, 1)
    soil = soils.draw(rng) * 0.6 + 0.4 * np.array((0.62, 0.60, 0.55), np.float32)
    streaks = smooth_noise(rng, shape, 1.2 / metre) * 0.06 + 0.05 * np.sin(bank * 1.3 + 2 * ragged)
    surface.lay(_soil_texture(rng, shape, soil, metre) * (1 + streaks[..., None]), gravel)
    _mark(surface, "river bar", gravel > 0.5)
    water = smoothstep(away, width + 0.5, width - 0.5)
    deep = smoothstep(away, width, 0)[..., None]
    colour = np.array((0.36, 0.37, 0.30), np.float32) + rng.normal(0, 0.015, 3).astype(np.float32)
    surface.lay(colour * (1.12 - 0.3 * deep) * np.ones((*shape, 1), np.float32), water)
    surface.ground -= water * np.float32(0.6)
    _mark(surface, "water", water > 0.5)


def lay_outcrops(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """Rock that stands out of steep or convex ground: rugged, cracked, with plants in its joints."""
    rng = random_stream(settings.seed, name, "outcrops")
    metre, shape = settings.resolution_m, terrain.shape
    convex = terrain.height - cv2.GaussianBlur(terrain.height, (0, 0), 12 / metre)
    likely = fractal_noise(rng, shape, 13 / metre, 4, 0.65) + 0.35 * convex + 0.8 * np.clip(terrain.slope - 0.5, -0.5, 0.5)
    likely -= 9.0 * (np.abs(terrain.river_offset) < terrain.floor_width + 3)
    level = np.quantile(likely[::4, ::4], 1 - 0.016 * settings.decoys)
    distance, cells, count = scattered_cells(rng, shape, 3.2 / metre)
    block = rng.uniform(0, 1, count).astype(np.float32)[cells]
    crags = block + 0.35 * np.abs(fractal_noise(rng, shape, 1.6 / metre, 2)) - 0.1 * distance * metre
    joints = 0.35 * fractal_noise(rng, shape, 2.2 / metre, 3, 0.7)
    alpha = smoothstep(likely + 0.12 * (block - 0.5) + 0.1 * joints, level, level + 0.05) * smoothstep(joints, -0.35, -0.1)
    soil = 0.5 * soils.draw(rng) + 0.5 * np.array((0.50, 0.49, 0.46), np.float32)
    surface.lay(_soil_texture(rng, shape, soil, metre) * (0.85 + 0.2 * crags[..., None]), alpha)
    surface.ground += alpha * (0.4 + 1.1 * crags).astype(np.float32)
    _mark(surface, "outcrop", alpha > 0.5)


def _parcel_block(
    rng: np.random.Generator, terrain: Terrain, surface: Surface, soils: Soils, centre: tuple[int, int], metre: float
) -> None:
    """One patchwork of parcels about `centre` (row, col): straight ones, or terraces along the contours."""
    radius = rng.uniform(26, 50) / metre
    reach = int(radius * 1.3)
    rows = slice(max(centre[0] - reach, 0), min(centre[0] + reach, terrain.shape[0]))
    cols = slice(max(centre[1] - reach, 0), min(centre[1] + reach, terrain.shape[1]))
    y, x = np.mgrid[rows, cols].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    u = ((x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)) * metre
    v = (-(x - centre[1]) * np.sin(angle) + (y - centre[0]) * np.cos(angle)) * metre
    bend = 2.0 * fractal_noise(rng, u.shape, 20 / metre, 2)
    if terrain.slope[centre] > 0.16:
        v = terrain.height[rows, cols] / max(terrain.slope[centre], 0.15)
        long, wide = rng.uniform(35, 70), rng.uniform(6, 10)
    else:
        long, wide = rng.uniform(18, 36), rng.uniform(10, 22)
    band = np.floor((v + 0.4 * bend) / wide)
    place = (u + bend) / long + 0.37 * band
    parcel = (band * 64 + np.floor(place)).astype(np.int64)
    _, parcel = np.unique(parcel, return_inverse=True)
    parcel = parcel.reshape(u.shape)
    inside = np.hypot(x - centre[1], y - centre[0]) < radius * (1 + 0.2 * fractal_noise(rng, u.shape, 12 / metre, 2))
    inside &= surface.decoy[rows, cols] == 0
    sizes = np.bincount(parcel.ravel())
    kept = np.bincount(parcel.ravel(), inside.ravel()) > 0.6 * sizes
    # A parcel that the window cuts off would show the window's straight border.
    for strip, side in ((parcel[0], rows.start), (parcel[-1], rows.stop - terrain.shape[0]),
                        (parcel[:, 0], cols.start), (parcel[:, -1], cols.stop - terrain.shape[1])):  # fmt: skip
        if side != 0:
            kept[strip] = False
    bare = rng.uniform(0, 1, len(sizes)) < 0.5
    tones = np.where(
        bare[:, None],
        np.array([soils.draw(rng) for _ in sizes]) * rng.uniform(0.8, 1.05, (len(sizes), 1)),
        CROPS[rng.integers(0, len(CROPS), len(sizes))] * rng.uniform(0.85, 1.15, (len(sizes), 1)),
    ).astype(np.float32)
    furrow = np.sin(2 * np.pi * (v + 0.4 * bend) / 1.9 + rng.uniform(0, 6, len(sizes))[parcel])
    texture = 1 + 0.05 * furrow + 0.06 * fractal_noise(rng, u.shape, 4 / metre, 4, 0.8)
    margin = np.minimum(((v + 0.4 * bend) / wide) % 1 * wide, place % 1 * long)
    alpha = (kept[parcel] & (surface.decoy[rows, cols] == 0)).astype(np.float32)
    alpha = cv2.GaussianBlur(alpha * smoothstep(margin, 0.2, 0.8), (0, 0), 0.6)
    surface.lay(tones[parcel] * texture[..., None].astype(np.float32), alpha, rows, cols)
    surface.canopy[rows, cols] += alpha * np.where(bare[parcel], 0.08, 0.3) * (1 + furrow).astype(np.float32)
    window = surface.decoy[rows, cols]
    window[(alpha > 0.5)] = KINDS.index("field") + 1


def lay_fields(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """Patchworks of fields on the gentler ground, half of the parcels bare."""
    rng = random_stream(settings.seed, name, "fields")
    for _ in range(rng.poisson(11 * settings.decoys * (settings.size_px * settings.resolution_m / 640) ** 2)):
        spots = rng.integers(20, np.array(terrain.shape) - 20, (12, 2))
        slopes = terrain.slope[spots[:, 0], spots[:, 1]] + 10.0 * (surface.decoy[spots[:, 0], spots[:, 1]] > 0)
        best = spots[np.argmin(slopes)]
        _parcel_block(rng, terrain, surface, soils, (int(best[0]), int(best[1])), settings.resolution_m)


def lay_roads(
    name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils
) -> list[NDArray[np.float64]]:
    """Unpaved tracks along the slope, with bare cuts above them. Returns their lines, (n, 2) of (x, y)."""
    rng = random_stream(settings.seed, name, "roads")
    metre, shape = settings.resolution_m, terrain.shape
    lines = []
    wanted = int(np.ceil(rng.uniform(1.4, 3.0) * settings.decoys))
    for _ in range(6 * wanted):
        if len(lines) == wanted:
            break
        side = rng.uniform(0.15, 0.85, 2) * shape[0]
        start = side * rng.uniform(0.4, 1, 2)
        forward = rng.uniform(0, 2 * np.pi)
        heading = np.array([np.cos(forward), np.sin(forward)])
        back = terrain.follow_contour(rng, start, -heading, rng.uniform(-0.15, 0.15))
        line = np.concatenate([back[::-1], terrain.follow_contour(rng, start, heading, rng.uniform(-0.15, 0.15))])
        pixels = np.clip(line, 0, np.array(shape[::-1]) - 1).astype(int)
        if (surface.decoy[pixels[:, 1], pixels[:, 0]] == KINDS.index("water") + 1).mean() > 0.06:
            continue
        distance, nearest = distance_to_line(shape, line)
        distance *= metre
        near = distance < 14
        above = terrain.height - terrain.height.ravel()[nearest] > 0.15
        half = rng.uniform(1.6, 2.6)
        soil = soils.draw(rng) * rng.uniform(0.95, 1.12)
        ragged = 0.35 * fractal_noise(rng, shape, 3 / metre, 3)
        cut = fractal_noise(rng, shape, 16 / metre, 4, 0.6)
        cut = (half + np.clip(cut - 0.1, 0, 1.2) * 5.0 * np.clip(terrain.slope * 2, 0.2, 1.2)) * above
        cuts = smoothstep(cut - distance - 1.6 * ragged, -0.4, 0.6)
        cuts *= near & (surface.decoy != KINDS.index("water") + 1)
        texture = _soil_texture(rng, shape, soil, metre)
        surface.lay(texture * np.float32(0.9), cuts)
        surface.ground -= 1.2 * cuts * smoothstep(distance, half + 2.5, half)
        _mark(surface, "road cut", cuts > 0.5)
        bed = smoothstep(half - distance + ragged, -0.35, 0.35)
        ruts = 1 - 0.12 * np.exp(-(((distance - 0.75) / 0.3) ** 2))
        surface.lay(texture * ruts[..., None].astype(np.float32) * np.float32(1.06), bed)
        _mark(surface, "track", bed > 0.5)
        lines.append(line)
    return lines


def lay_quarry(
    name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils
) -> None:
    """A quarry: angular outline, level floor, benches cut back into the slope. Not in every scene."""
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
        filled[surface.decoy == KINDS.index("water") + 1] = 0
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
        texture = _soil_texture(rng, shape, soils.draw(rng) * np.float32(1.06), metre)
        surface.lay(texture * (1.05 - 0.14 * face)[..., None].astype(np.float32), alpha)
        surface.ground += alpha * (np.minimum(pit, surface.ground) - surface.ground).astype(np.float32)
        _mark(surface, "quarry", alpha > 0.5)


def lay_clearings(
    name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils
) -> None:
    """Ground stripped by machines: straight sides, wheel tracks, heaps and stumps, whatever the slope does."""
    rng = random_stream(settings.seed, name, "clearings")
    metre, shape = settings.resolution_m, terrain.shape
    for _ in range(rng.poisson(7 * settings.decoys * (settings.size_px * metre / 640) ** 2)):
        reach = int(42 / metre)
        spots = rng.integers(reach, np.array(shape) - reach, (5, 2))
        row, col = spots[np.argmin(terrain.slope[spots[:, 0], spots[:, 1]])]
        rows, cols = slice(row - reach, row + reach), slice(col - reach, col + reach)
        y, x = np.mgrid[-reach:reach, -reach:reach].astype(np.float32) * np.float32(metre)
        angle, long, wide = rng.uniform(0, np.pi), rng.uniform(9, 30), rng.uniform(7, 17)
        u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
        u, v = u + rng.uniform(-0.3, 0.3) * v, v + rng.uniform(-0.15, 0.15) * u
        ragged = 0.9 * fractal_noise(rng, u.shape, 2.5 / metre, 3, 0.7)
        inside = np.minimum(long - np.abs(u), wide - np.abs(v)) + ragged
        # One corner is cut off, so that not all are rectangles.
        inside = np.minimum(inside, 0.75 * (long + wide) - rng.choice([-1, 1]) * u - rng.choice([-1, 1]) * v + ragged)
        taken = np.isin(surface.decoy[rows, cols], [KINDS.index(kind) + 1 for kind in ("water", "house", "quarry")])
        alpha = smoothstep(inside, -0.4, 0.4) * ~taken
        tracks = np.abs(np.sin(v / rng.uniform(1.2, 2.2) + 1.5 * fractal_noise(rng, u.shape, 16 / metre, 2)))
        tone = 1 - 0.13 * smoothstep(tracks, 0.3, 0.1) * smoothstep(inside, 1.0, 2.5)
        surface.lay(_soil_texture(rng, u.shape, soils.draw(rng), metre) * tone[..., None], alpha, rows, cols)
        distance, cells, count = scattered_cells(rng, u.shape, 4.0 / metre)
        plants = (rng.uniform(0, 1, count) < rng.uniform(0.0, 0.5)).astype(np.float32)[cells]
        plants *= alpha * smoothstep(distance * metre, 0.9, 0.5)
        surface.lay(np.full((*u.shape, 3), (0.24, 0.27, 0.16), np.float32), 0.8 * plants, rows, cols)
        surface.canopy[rows, cols] += 0.9 * plants
        surface.ground[rows, cols] += 0.5 * alpha * np.clip(fractal_noise(rng, u.shape, 3 / metre, 2) - 1, 0, 1)
        surface.decoy[rows, cols][alpha > 0.5] = KINDS.index("clearing") + 1


def lay_houses(
    name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils,
    lines: list[NDArray[np.float64]],
) -> None:
    """Hamlets beside the tracks: gabled roofs that throw shadows, with bare yards about them."""
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
    rng: np.random.Generator, terrain: Terrain, surface: Surface, soils: Soils,
    centre: NDArray[np.float64], along: NDArray[np.float64], metre: float,
) -> None:
    reach = int(18 / metre)
    col, row = (int(value) for value in centre)
    if not (reach < row < terrain.shape[0] - reach and reach < col < terrain.shape[1] - reach):
        return
    rows, cols = slice(row - reach, row + reach), slice(col - reach, col + reach)
    if np.isin(surface.decoy[rows, cols], [1, KINDS.index("house") + 1])[reach - 9 : reach + 9, reach - 9 : reach + 9].any():
        return
    y, x = np.mgrid[-reach:reach, -reach:reach].astype(np.float32) * np.float32(metre)
    u, v = x * along[0] + y * along[1], -x * along[1] + y * along[0]
    length, width = rng.uniform(4, 8), rng.uniform(2.6, 4)
    ragged = fractal_noise(rng, u.shape, 3 / metre, 2)
    off = np.maximum(np.abs(u) - length, np.abs(v) - width)
    yard = smoothstep(off + ragged, rng.uniform(2, 6), 0.5) * (surface.decoy[rows, cols] == 0)
    surface.lay(_soil_texture(rng, u.shape, soils.draw(rng), metre), yard, rows, cols)
    roof = smoothstep(off, 0.25, -0.25)
    tone = ROOFS[rng.integers(len(ROOFS))] * rng.uniform(0.85, 1.15)
    tiles = 1 + 0.05 * np.sin(u * 5)[..., None] - 0.1 * smoothstep(np.abs(v), 0.4, 0.1)[..., None]
    surface.lay((tone * tiles).astype(np.float32), roof, rows, cols)
    surface.canopy[rows, cols] += roof * (4.0 + 1.6 * (1 - np.abs(v) / width)).astype(np.float32)
    window = surface.decoy[rows, cols]
    window[(yard > 0.5) & (window == 0)] = KINDS.index("yard") + 1
    window[roof > 0.5] = KINDS.index("house") + 1
