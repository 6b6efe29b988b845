"""Bare ground made by farming and clearing."""

import cv2
import numpy as np

from apsam.synthetic.noise import (
    fractal_noise,
    random_stream,
    scattered_cells,
    smoothstep,
)
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Soils, Surface, soil_texture
from apsam.synthetic.terrain import Terrain

CROPS = np.array([(0.30, 0.38, 0.18), (0.38, 0.42, 0.22), (0.47, 0.44, 0.27), (0.24, 0.31, 0.17)], np.float32)


def _parcel_block(
    rng: np.random.Generator,
    terrain: Terrain,
    surface: Surface,
    soils: Soils,
    centre: tuple[int, int],
    metre: float,
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
        on_slope = terrain.slope[rows, cols] > 0.14
        long, wide = rng.uniform(35, 70), rng.uniform(6, 10)
    else:
        long, wide = rng.uniform(18, 36), rng.uniform(10, 22)
        on_slope = np.ones(u.shape, bool)
    band = np.floor((v + 0.4 * bend) / wide)
    place = (u + bend) / long + 0.37 * band
    parcel = (band * 64 + np.floor(place)).astype(np.int64)
    _, parcel = np.unique(parcel, return_inverse=True)
    parcel = parcel.reshape(u.shape)
    outline = radius * (1 + 0.2 * fractal_noise(rng, u.shape, 12 / metre, 2))
    inside = np.hypot(x - centre[1], y - centre[0]) < outline
    inside &= on_slope & (surface.decoy[rows, cols] == 0)
    sizes = np.bincount(parcel.ravel())
    kept = np.bincount(parcel.ravel(), inside.ravel()) > 0.6 * sizes
    # A parcel that the window cuts off would show the window's straight border.
    past_row, past_col = rows.stop - terrain.shape[0], cols.stop - terrain.shape[1]
    borders = (
        (parcel[0], rows.start),
        (parcel[-1], past_row),
        (parcel[:, 0], cols.start),
        (parcel[:, -1], past_col),
    )
    for border, inner in borders:
        if inner != 0:
            kept[border] = False
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
    surface.mark("field", alpha > 0.5, rows, cols)


def lay_fields(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """Patchworks of fields on the gentler ground, half of the parcels bare."""
    rng = random_stream(settings.seed, name, "fields")
    for _ in range(rng.poisson(11 * settings.decoys * (settings.size_px * settings.resolution_m / 640) ** 2)):
        spots = rng.integers(20, np.array(terrain.shape) - 20, (12, 2))
        slopes = terrain.slope[spots[:, 0], spots[:, 1]] + 10.0 * (surface.decoy[spots[:, 0], spots[:, 1]] > 0)
        best = spots[np.argmin(slopes)]
        _parcel_block(rng, terrain, surface, soils, (int(best[0]), int(best[1])), settings.resolution_m)


def lay_clearings(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """Ground stripped by machines: straight sides, wheel tracks, stumps, on gentle ground."""
    rng = random_stream(settings.seed, name, "clearings")
    metre, shape = settings.resolution_m, terrain.shape
    reach = int(42 / metre)
    if 2 * reach >= min(shape):  # a clearing is larger than the scene
        return
    for _ in range(rng.poisson(7 * settings.decoys * (settings.size_px * metre / 640) ** 2)):
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
        corner = rng.choice([-1, 1]) * u + rng.choice([-1, 1]) * v
        inside = np.minimum(inside, 0.75 * (long + wide) - corner + ragged)
        taken = surface.shows(("water", "house", "quarry"), rows, cols)
        alpha = smoothstep(inside, -0.4, 0.4) * ~taken
        tracks = np.abs(np.sin(v / rng.uniform(1.2, 2.2) + 1.5 * fractal_noise(rng, u.shape, 16 / metre, 2)))
        tone = 1 - 0.13 * smoothstep(tracks, 0.3, 0.1) * smoothstep(inside, 1.0, 2.5)
        surface.lay(soil_texture(rng, u.shape, soils.draw(rng), metre) * tone[..., None], alpha, rows, cols)
        distance, cells, count = scattered_cells(rng, u.shape, 4.0 / metre)
        plants = (rng.uniform(0, 1, count) < rng.uniform(0.0, 0.5)).astype(np.float32)[cells]
        plants *= alpha * smoothstep(distance * metre, 0.9, 0.5)
        surface.lay(np.full((*u.shape, 3), (0.24, 0.27, 0.16), np.float32), 0.8 * plants, rows, cols)
        surface.canopy[rows, cols] += 0.9 * plants
        surface.ground[rows, cols] += 0.5 * alpha * np.clip(fractal_noise(rng, u.shape, 3 / metre, 2) - 1, 0, 1)
        surface.mark("clearing", alpha > 0.5, rows, cols)
