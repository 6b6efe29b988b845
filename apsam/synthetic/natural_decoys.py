"""Bare ground made by water and rock: rivers with their gravel bars, outcrops."""

import cv2
import numpy as np

from apsam.synthetic.noise import (
    fractal_noise,
    random_stream,
    scattered_cells,
    smooth_noise,
    smoothstep,
)
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Soils, Surface, soil_texture
from apsam.synthetic.terrain import Terrain


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
    bars = fractal_noise(rng, shape, 14 / metre, 3) - 0.06 * (away - width)
    bars += rng.uniform(0.0, 0.5) * settings.decoys
    gravel = smoothstep(bars, 0.25, 0.4) * smoothstep(bank, terrain.floor_width + 1, terrain.floor_width - 1)
    gravel = np.maximum(gravel, smoothstep(away, width + 3.0, width + 2.0)) * min(settings.decoys, 1)
    soil = soils.draw(rng) * 0.6 + 0.4 * np.array((0.62, 0.60, 0.55), np.float32)
    streaks = smooth_noise(rng, shape, 1.2 / metre) * 0.06 + 0.05 * np.sin(bank * 1.3 + 2 * ragged)
    surface.lay(soil_texture(rng, shape, soil, metre) * (1 + streaks[..., None]), gravel)
    surface.mark("river bar", gravel > 0.5)
    water = smoothstep(away, width + 0.5, width - 0.5)
    deep = smoothstep(away, width, 0)[..., None]
    colour = np.array((0.36, 0.37, 0.30), np.float32) + rng.normal(0, 0.015, 3).astype(np.float32)
    surface.lay(colour * (1.12 - 0.3 * deep) * np.ones((*shape, 1), np.float32), water)
    surface.ground -= water * np.float32(0.6)
    surface.mark("water", water > 0.5)


def lay_outcrops(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """Rock that stands out of steep or convex ground: rugged, cracked, with plants in its joints."""
    if settings.decoys == 0:
        return
    rng = random_stream(settings.seed, name, "outcrops")
    metre, shape = settings.resolution_m, terrain.shape
    convex = terrain.height - cv2.GaussianBlur(terrain.height, (0, 0), 12 / metre)
    likely = fractal_noise(rng, shape, 13 / metre, 4, 0.65) + 0.35 * convex
    likely += 0.8 * np.clip(terrain.slope - 0.5, -0.5, 0.5)
    likely -= 9.0 * (np.abs(terrain.river_offset) < terrain.floor_width + 3)
    level = np.quantile(likely[::4, ::4], 1 - 0.016 * settings.decoys)
    distance, cells, count = scattered_cells(rng, shape, 3.2 / metre)
    block = rng.uniform(0, 1, count).astype(np.float32)[cells]
    crags = block + 0.35 * np.abs(fractal_noise(rng, shape, 1.6 / metre, 2)) - 0.1 * distance * metre
    joints = 0.35 * fractal_noise(rng, shape, 2.2 / metre, 3, 0.7)
    alpha = smoothstep(likely + 0.12 * (block - 0.5) + 0.1 * joints, level, level + 0.05)
    alpha *= smoothstep(joints, -0.35, -0.1)
    soil = 0.5 * soils.draw(rng) + 0.5 * np.array((0.50, 0.49, 0.46), np.float32)
    surface.lay(soil_texture(rng, shape, soil, metre) * (0.85 + 0.2 * crags[..., None]), alpha)
    surface.ground += alpha * (0.4 + 1.1 * crags).astype(np.float32)
    surface.mark("outcrop", alpha > 0.5)
