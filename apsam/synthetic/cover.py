"""Plants of a synthetic scene: crowns of forest, shrubs, and grass between them."""

import numpy as np

from apsam.synthetic.noise import fractal_noise, random_stream, scattered_cells, smooth_noise, smoothstep
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Surface
from apsam.synthetic.terrain import Terrain

FOREST = np.array((0.165, 0.225, 0.135), np.float32)
UNDERSTOREY = np.array((0.15, 0.18, 0.11), np.float32)
SHRUB = np.array((0.26, 0.30, 0.17), np.float32)
GREEN_GRASS = np.array((0.33, 0.37, 0.21), np.float32)
DRY_GRASS = np.array((0.46, 0.42, 0.28), np.float32)


def grow(name: str, settings: SyntheticSettings, terrain: Terrain) -> Surface:
    """The scene before roads, rivers and landslides: every pixel under forest, shrubs or grass.

    Forest likes slopes, gullies and the north side; what is gentle or sunny is open.
    """
    rng = random_stream(settings.seed, name, "cover")
    shape, metre = terrain.shape, settings.resolution_m
    north = np.clip(terrain.gradient[1] * -1.5, -0.6, 0.6)
    density = fractal_noise(rng, shape, 48 / metre, 4, 0.6) + 0.5 * north + 0.9 * np.minimum(terrain.slope, 0.8)
    density -= np.quantile(density[::8, ::8], rng.uniform(0.28, 0.5))

    dryness = fractal_noise(rng, shape, 30 / metre, 5, 0.7) * 0.45 + rng.uniform(-0.2, 0.5)
    weight = smoothstep(dryness, -0.8, 1.2)[..., None]
    colour = GREEN_GRASS * (1 - weight) + DRY_GRASS * weight
    colour *= 1 + 0.09 * fractal_noise(rng, shape, 2.5 / metre, 3, 0.8)[..., None]
    colour *= rng.normal(1, 0.03, 3).astype(np.float32)
    shade = smoothstep(density, -0.15, 0.25)[..., None]
    colour += shade * (UNDERSTOREY - colour)
    canopy = np.zeros(shape, np.float32)
    stand = np.exp(0.16 * fractal_noise(rng, shape, 22 / metre, 3))[..., None].astype(np.float32)

    for spacing, tint, size, tall, shift in (
        (1.9, SHRUB, (0.5, 1.1), (0.4, 1.4), 0.75),
        (3.4, FOREST, (1.5, 2.7), (4.0, 9.0), 0.0),
    ):
        distance, cells, count = scattered_cells(rng, shape, spacing / metre)
        point = np.zeros(count, np.float32)
        at_point = distance < 0.5
        point[cells[at_point]] = density[at_point]
        grown = point + rng.normal(0, 0.22, count) + shift > 0
        if shift:
            grown &= rng.uniform(0, 1, count) < 0.35 + 0.3 * np.clip(point + 1, 0, 1)
        radius = rng.uniform(*size, count) / metre
        height = rng.uniform(*tall, count) * grown
        dome = np.sqrt(np.clip(1 - (distance / radius[cells].astype(np.float32)) ** 2, 0, 1))
        crown = dome * height[cells].astype(np.float32)
        leaf = tint * (1 + rng.normal(0, 0.13, (count, 1))) * (1 + rng.normal(0, 0.045, (count, 3)))
        yellow = rng.uniform(0, 1, (count, 1)) < 0.06
        leaf = np.where(yellow, leaf * (1.5, 1.3, 1.05), leaf).astype(np.float32)
        covered = smoothstep(dome, 0.05, 0.45) * grown[cells]
        colour += covered[..., None] * (leaf[cells] * stand - colour)
        canopy = np.maximum(canopy, crown)
    canopy += 0.25 * np.abs(smooth_noise(rng, shape, 0.7 / metre))
    return Surface(colour, terrain.height.copy(), canopy, np.zeros(shape, np.uint8))
