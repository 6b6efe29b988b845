"""Where landslides lie in a scene: in groups, on slopes, some beside what misleads."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from apsam.synthetic.decoys import KINDS
from apsam.synthetic.landslides import Landslide, lay_landslide, shape_landslide
from apsam.synthetic.noise import random_stream
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Soils, Surface
from apsam.synthetic.terrain import Terrain

LANDSLIDE_PIXELS_OF_A_POSITIVE_TILE = 50
_NOT_OVER = tuple(KINDS.index(kind) + 1 for kind in ("water", "quarry", "house", "yard"))


@dataclass
class Truth:
    """What was placed: ids (H, W) int32, 0 where there is none, and the landslides, id 1 first."""

    instances: NDArray[np.int32]
    landslides: list[Landslide]


def positive_share(mask: NDArray[np.bool_], tile: int, stride: int) -> float:
    """Share of tiles with at least 50 landslide pixels; the last row and column are snapped to the border."""
    total = cv2.integral(mask.astype(np.uint8))
    starts = [
        np.unique(np.append(np.arange(0, side - tile, stride), side - tile)) for side in mask.shape
    ]
    top, left = np.ix_(*starts)
    inside = total[top + tile, left + tile] - total[top, left + tile] - total[top + tile, left] + total[top, left]
    return float((inside >= LANDSLIDE_PIXELS_OF_A_POSITIVE_TILE).mean())


def place_landslides(
    name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils
) -> Truth:
    """Lays landslides until their cover, and the share of tiles they touch, are what the settings ask for."""
    rng = random_stream(settings.seed, name, "landslides")
    metre, shape = settings.resolution_m, terrain.shape
    truth = Truth(np.zeros(shape, np.int32), [])
    if settings.landslide_cover[1] == 0:
        return truth
    bait = cv2.distanceTransform((surface.decoy == 0).astype(np.uint8), cv2.DIST_L2, 3) * metre
    groups = _groups(rng, settings, terrain)
    low, high = np.log(settings.landslide_area_m2)
    wanted = rng.uniform(*settings.landslide_cover) * truth.instances.size * metre**2
    areas: list[float] = []
    while sum(areas) < wanted and len(areas) < 400:
        areas.append(float(np.exp(rng.uniform(low, high))))
    # The largest first, while there is room for them; small single ones then fill up the positive tiles.
    most_tiles = settings.positive_tiles[1]
    least_tiles = rng.uniform(*settings.positive_tiles)
    for area in sorted(areas, reverse=True):
        for attempt in range(14):
            alone = attempt % 7 == 6
            centre = rng.uniform(0.04, 0.96, 2) * shape[::-1] if alone else groups[rng.integers(len(groups))]
            spread = 60 if alone else 16 + 3 * attempt
            start = _crown(rng, settings, terrain, bait, centre, spread / metre)
            hollow = area > 1200 and rng.uniform() < settings.hollow_share
            slide = shape_landslide(rng, terrain, start, area, hollow)
            if slide is not None and _fits(truth, surface, slide, settings, most_tiles):
                _lay(rng, truth, surface, soils, slide, metre)
                break
    for _ in range(30):
        share = positive_share(truth.instances > 0, settings.tile_px, settings.tile_stride_px)
        if share >= least_tiles:
            break
        centre = rng.uniform(0.04, 0.96, 2) * shape[::-1]
        start = _crown(rng, settings, terrain, bait, centre, 20 / metre)
        area = float(np.exp(rng.uniform(low, 0.6 * low + 0.4 * high)))
        slide = shape_landslide(rng, terrain, start, area, hollow=False)
        if slide is not None and _fits(truth, surface, slide, settings, most_tiles):
            _lay(rng, truth, surface, soils, slide, metre)
    return truth


def _lay(
    rng: np.random.Generator, truth: Truth, surface: Surface, soils: Soils, slide: Landslide, metre: float
) -> None:
    truth.landslides.append(slide)
    truth.instances[slide.rows, slide.cols][slide.mask] = len(truth.landslides)
    lay_landslide(rng, surface, soils, slide, metre)


def _groups(
    rng: np.random.Generator, settings: SyntheticSettings, terrain: Terrain
) -> list[NDArray[np.float64]]:
    """Middles (x, y) of the groups, on steep ground."""
    groups = []
    for _ in range(rng.integers(settings.clusters[0], settings.clusters[1] + 1)):
        spots = rng.integers(0.08 * terrain.shape[0], 0.92 * terrain.shape[0], (10, 2))
        best = spots[np.argmax(terrain.slope[spots[:, 0], spots[:, 1]])]
        groups.append(best[::-1].astype(float))
    return groups


def _crown(
    rng: np.random.Generator,
    settings: SyntheticSettings,
    terrain: Terrain,
    bait: NDArray[np.float32],
    centre: NDArray[np.float64],
    spread: float,
) -> NDArray[np.float64]:
    """A crown (x, y) near `centre`: the steepest of some spots, or the steep one nearest to a decoy."""
    spots = centre + rng.normal(0, spread, (24, 2))
    spots = np.clip(spots, 4, np.array(terrain.shape[::-1]) - 5)
    cols, rows = spots.astype(int).T
    steep = terrain.slope[rows, cols]
    if rng.uniform() < settings.beside_decoy_share:
        return spots[np.argmin(bait[rows, cols] + 100.0 * (steep < 0.3))]
    return spots[np.argmax(steep[:6])]


def _fits(
    truth: Truth, surface: Surface, slide: Landslide, settings: SyntheticSettings, most_tiles: float
) -> bool:
    """Whether a landslide keeps clear of the others and of water, houses and quarries."""
    known = truth.instances[slide.rows, slide.cols]
    halo = cv2.dilate(slide.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    if (known[halo] > 0).any():
        return False
    over = np.isin(surface.decoy[slide.rows, slide.cols], _NOT_OVER) & (slide.field > -1)
    if over.any():
        return False
    if slide.mask.mean() == 0:
        return False
    placed = truth.instances > 0
    placed[slide.rows, slide.cols] |= slide.mask
    if placed.mean() > settings.landslide_cover[1] * 1.1:
        return False
    return positive_share(placed, settings.tile_px, settings.tile_stride_px) <= most_tiles
