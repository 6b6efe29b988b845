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
    # The largest first, while there is room for them; what finds no room is tried again smaller.
    most_tiles = settings.positive_tiles[1]
    least_tiles = rng.uniform(*settings.positive_tiles)
    placer = _Placer(rng, settings, terrain, surface, soils, truth, most_tiles)
    for area in sorted(areas, reverse=True):
        while area >= settings.landslide_area_m2[0]:
            crowns = []
            for attempt in range(12):
                centre = groups[rng.integers(len(groups))]
                crowns.append(_crown(rng, settings, terrain, bait, centre, (14 + 4 * attempt) / metre))
            if any(placer.lay(crown, area) for crown in crowns):
                break
            area *= 0.6
    # Small single ones fill up the share of positive tiles.
    for _ in range(40):
        share = positive_share(truth.instances > 0, settings.tile_px, settings.tile_stride_px)
        if share >= least_tiles and truth.instances.astype(bool).sum() * metre**2 >= 0.9 * wanted:
            break
        alone = share < least_tiles
        centre = rng.uniform(0.04, 0.96, 2) * shape[::-1] if alone else groups[rng.integers(len(groups))]
        crown = _crown(rng, settings, terrain, bait, centre, (20 if alone else 50) / metre)
        placer.lay(crown, float(np.exp(rng.uniform(low, 0.6 * low + 0.4 * high if alone else high))))
    return truth


@dataclass
class _Placer:
    """Lays landslides one by one where they fit."""

    rng: np.random.Generator
    settings: SyntheticSettings
    terrain: Terrain
    surface: Surface
    soils: Soils
    truth: Truth
    most_tiles: float

    def __post_init__(self) -> None:
        self.blocked = np.isin(self.surface.decoy, _NOT_OVER).astype(np.uint8)

    def lay(self, crown: NDArray[np.float64], area_m2: float) -> bool:
        """Lays a landslide of about `area_m2` from `crown` (x, y), if it fits there."""
        hollow = area_m2 > 1200 and self.rng.uniform() < self.settings.hollow_share
        slide = shape_landslide(self.rng, self.terrain, crown, area_m2, hollow, self._way_is_free)
        if slide is None:
            return False
        window = slide.rows, slide.cols
        halo = slide.field > -2.0
        if (self.blocked[window][halo] > 0).any():
            return False
        placed = self.truth.instances > 0
        placed[window] |= slide.mask
        if placed.mean() > 1.1 * self.settings.landslide_cover[1] or not self._few_tiles(placed):
            return False
        self.truth.landslides.append(slide)
        self.truth.instances[window][slide.mask] = len(self.truth.landslides)
        self.blocked[window][slide.mask] = 1
        lay_landslide(self.rng, self.terrain, self.surface, self.soils, slide)
        return True

    def _few_tiles(self, placed: NDArray[np.bool_]) -> bool:
        tile, stride = self.settings.tile_px, self.settings.tile_stride_px
        return positive_share(placed, tile, stride) <= self.most_tiles

    def _way_is_free(self, path: NDArray[np.float64]) -> bool:
        """A quick look along the middle line, before the landslide is grown about it."""
        cols, rows = np.clip(path, 0, np.array(self.blocked.shape[::-1]) - 1).astype(int).T
        if self.blocked[rows, cols].any():
            return False
        placed = (self.truth.instances > 0).astype(np.uint8)
        cv2.polylines(placed, [path.astype(np.int32)], False, 1, 5)
        return self._few_tiles(placed > 0)


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
