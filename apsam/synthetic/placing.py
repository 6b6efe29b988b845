"""Place landslides in a scene: in groups, on slopes, some next to decoys."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from apsam.synthetic.landslides import Landslide, lay_landslide, shape_landslide
from apsam.synthetic.noise import random_stream
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Soils, Surface
from apsam.synthetic.terrain import Terrain

LANDSLIDE_PIXELS_OF_A_POSITIVE_TILE = 50
_NOT_OVER = ("water", "quarry", "house", "yard")


@dataclass
class PlacedLandslides:
    """What was placed: ids (H, W) int32, 0 where there is none, and the landslides, id 1 first."""

    instances: NDArray[np.int32]
    landslides: list[Landslide]


def landslide_pixels(
    mask: NDArray[np.uint8], corner: tuple[int, int], size: int, tile: int, stride: int
) -> NDArray[np.int32]:
    """Landslide pixels in each tile of a scene of `size` pixels, of a window's `mask` (0 or 1) alone.

    `corner` is the window's first (row, column). Tiles as in the pipeline: every `stride` pixels, the last
    row and column snapped to the border.
    """
    total = cv2.integral(mask)
    starts = np.unique(np.append(np.arange(0, size - tile, stride), size - tile))
    top, left = (np.clip(starts - first, 0, side) for first, side in zip(corner, mask.shape, strict=True))
    bottom, right = (np.clip(starts + tile - first, 0, side) for first, side in zip(corner, mask.shape, strict=True))
    rows = total[bottom] - total[top]
    return rows[:, right] - rows[:, left]


def positive_share(mask: NDArray[np.uint8], tile: int, stride: int) -> float:
    """Share of a square scene's tiles with at least 50 landslide pixels; `mask` (H, H) of 0 and 1."""
    pixels = landslide_pixels(mask, (0, 0), mask.shape[0], tile, stride)
    return float((pixels >= LANDSLIDE_PIXELS_OF_A_POSITIVE_TILE).mean())


def place_landslides(
    name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils
) -> PlacedLandslides:
    """Draw landslides until their cover, and the share of tiles they touch, match the settings."""
    rng = random_stream(settings.seed, name, "landslides")
    metre, shape = settings.resolution_m, terrain.shape
    placed = PlacedLandslides(np.zeros(shape, np.int32), [])
    if settings.landslide_cover[1] == 0:
        return placed
    bait = cv2.distanceTransform((surface.decoy == 0).astype(np.uint8), cv2.DIST_L2, 3) * metre
    groups = _groups(rng, settings, terrain)
    low, high = np.log(settings.landslide_area_m2)
    wanted = rng.uniform(*settings.landslide_cover) * placed.instances.size * metre**2
    areas: list[float] = []
    while sum(areas) < wanted and len(areas) < 400:
        areas.append(float(np.exp(rng.uniform(low, high))))
    # The largest first, while there is space for them; those without space are tried again smaller.
    most_tiles = settings.positive_tiles[1]
    least_tiles = rng.uniform(*settings.positive_tiles)
    placer = _Placer(rng, settings, terrain, surface, soils, placed, most_tiles)
    for area in sorted(areas, reverse=True):
        while area >= settings.landslide_area_m2[0]:
            crowns = []
            for attempt in range(20):
                centre = groups[rng.integers(len(groups))]
                crowns.append(_crown(rng, settings, terrain, bait, centre, (14 + 3 * attempt) / metre))
            if any(placer.lay(crown, area) for crown in crowns):
                break
            area *= 0.7
    # Small single ones fill up the share of positive tiles.
    for _ in range(40):
        share = placer.share()
        if share >= least_tiles and placer.covered * metre**2 >= 0.9 * wanted:
            break
        alone = share < least_tiles
        centre = rng.uniform(0.04, 0.96, 2) * shape[::-1] if alone else groups[rng.integers(len(groups))]
        crown = _crown(rng, settings, terrain, bait, centre, (20 if alone else 50) / metre)
        placer.lay(crown, float(np.exp(rng.uniform(low, 0.6 * low + 0.4 * high if alone else high))))
    return placed


@dataclass
class _Placer:
    """Lays landslides one by one where they fit."""

    rng: np.random.Generator
    settings: SyntheticSettings
    terrain: Terrain
    surface: Surface
    soils: Soils
    placed: PlacedLandslides
    most_tiles: float

    def __post_init__(self) -> None:
        self.blocked = self.surface.shows(_NOT_OVER).astype(np.uint8)
        self.covered = 0
        self.tiles = self._pixels(self.blocked * 0, (0, 0))

    def lay(self, crown: NDArray[np.float64], area_m2: float) -> bool:
        """Draw a landslide of about `area_m2` from `crown` (x, y), if there is space."""
        hollow = area_m2 > 1200 and self.rng.uniform() < self.settings.hollow_share
        slide = shape_landslide(self.rng, self.terrain, crown, area_m2, hollow, self._way_is_free)
        if slide is None:
            return False
        window = slide.rows, slide.cols
        halo = slide.field > -2.0
        if (self.blocked[window][halo] > 0).any():
            return False
        covered = self.covered + int(slide.mask.sum())
        pixels = self._pixels(slide.mask.astype(np.uint8), (slide.rows.start, slide.cols.start))
        most = 1.1 * self.settings.landslide_cover[1] * self.blocked.size
        if covered > most or self.share(pixels) > self.most_tiles:
            return False
        self.covered, self.tiles = covered, self.tiles + pixels
        self.placed.landslides.append(slide)
        self.placed.instances[window][slide.mask] = len(self.placed.landslides)
        self.blocked[window][slide.mask] = 1
        lay_landslide(self.rng, self.terrain, self.surface, self.soils, slide)
        return True

    def share(self, more: NDArray[np.int32] | int = 0) -> float:
        """Share of positive tiles now, or with `more` landslide pixels in the tiles."""
        return float((self.tiles + more >= LANDSLIDE_PIXELS_OF_A_POSITIVE_TILE).mean())

    def _pixels(self, mask: NDArray[np.uint8], corner: tuple[int, int]) -> NDArray[np.int32]:
        size, tile, stride = self.settings.size_px, self.settings.tile_px, self.settings.tile_stride_px
        return landslide_pixels(mask, corner, size, tile, stride)

    def _way_is_free(self, path: NDArray[np.float64]) -> bool:
        """Check the middle line before the landslide is drawn around it."""
        path = np.clip(path, 0, self.settings.size_px - 1).astype(np.int32)
        if self.blocked[path[:, 1], path[:, 0]].any():
            return False
        low, high = path.min(0) - 3, path.max(0) + 4
        line = np.zeros((high - low)[::-1], np.uint8)
        cv2.polylines(line, [path - low], False, 1, 5)
        return self.share(self._pixels(line, (int(low[1]), int(low[0])))) <= self.most_tiles


def _groups(rng: np.random.Generator, settings: SyntheticSettings, terrain: Terrain) -> list[NDArray[np.float64]]:
    """Middles (x, y) of the groups, on steep ground."""
    groups = []
    for _ in range(rng.integers(settings.clusters[0], settings.clusters[1] + 1)):
        spots = rng.integers(int(0.08 * terrain.shape[0]), int(0.92 * terrain.shape[0]), (10, 2))
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
