"""Synthetic scenes: georeferenced imagery of landslides with its reference mask, made from a seed."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from apsam.files import atomic_path
from apsam.synthetic.cover import grow
from apsam.synthetic.decoys import lay_decoys
from apsam.synthetic.light import develop, make_sun
from apsam.synthetic.noise import random_stream, smooth_noise
from apsam.synthetic.placing import place_landslides
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import make_soils
from apsam.synthetic.terrain import Terrain, make_terrain

# Extent of the positions of scenes, within a UTM zone, and most rows of the grid.
EAST_KM, NORTH_KM, ROWS = 400, 5_400, 600


@dataclass(frozen=True)
class SyntheticScene:
    """A scene and its reference mask, all on one grid of H rows and W columns."""

    name: str
    image: NDArray[np.uint8]
    """(H, W, 3) RGB, 1 to 255; 0 where there is no data."""
    mask: NDArray[np.uint8]
    """(H, W), 1 landslide, 0 not; 0 where there is no data."""
    instances: NDArray[np.int32]
    """(H, W), the landslide's number from 1 up, 0 where there is none."""
    valid: NDArray[np.bool_]
    """(H, W), False where there is no data."""
    decoy: NDArray[np.uint8]
    """(H, W), place in `surface.DECOYS` from 1 of what misleads here, 0 elsewhere."""
    transform: Affine
    crs: CRS
    terrain: Terrain


def make_scene(name: str, settings: SyntheticSettings) -> SyntheticScene:
    """Make the scene of this name: the same name and settings give the same bytes."""
    terrain = make_terrain(name, settings)
    soils = make_soils(name, settings)
    surface = grow(name, settings, terrain)
    lay_decoys(name, settings, terrain, surface, soils)
    placed = place_landslides(name, settings, terrain, surface, soils)
    sun = make_sun(name, settings)
    image = develop(name, settings, surface.colour, surface.ground, surface.canopy, sun)

    valid = _valid_area(name, settings)
    image[~valid] = 0
    instances = _renumbered(placed.instances * valid)
    mask = (instances > 0).astype(np.uint8)
    transform = place_scene(name, settings)
    crs = CRS.from_epsg(settings.epsg)
    return SyntheticScene(name, image, mask, instances, valid, surface.decoy, transform, crs, terrain)


def write_scene(scene: SyntheticScene, image_path: Path, mask_path: Path) -> None:
    """Write image and mask as tiled, deflated GeoTIFFs; no data is marked by the image's internal mask."""
    height, width = scene.mask.shape
    profile = {
        "driver": "GTiff", "height": height, "width": width, "dtype": "uint8", "crs": scene.crs,
        "transform": scene.transform, "tiled": True, "blockxsize": 256, "blockysize": 256,
        "compress": "deflate",
    }  # fmt: skip
    with atomic_path(image_path) as path, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "w", count=3, photometric="rgb", predictor=2, **profile) as raster:
            raster.write(np.moveaxis(scene.image, -1, 0))
            if not scene.valid.all():
                raster.write_mask(scene.valid)
    with atomic_path(mask_path) as path, rasterio.open(path, "w", count=1, **profile) as raster:
        raster.write(scene.mask, 1)


def _renumbered(instances: NDArray[np.int32]) -> NDArray[np.int32]:
    """Ids from 1 up without gaps: a landslide may lie where there is no data."""
    shown = np.bincount(instances.ravel()) > 0
    shown[0] = False
    return (np.cumsum(shown) * shown).astype(np.int32)[instances]


def _valid_area(name: str, settings: SyntheticSettings) -> NDArray[np.bool_]:
    """The area with data: in some scenes a slanting, uneven strip along one border has none."""
    rng = random_stream(settings.seed, name, "no data")
    shape = (settings.size_px, settings.size_px)
    if rng.uniform() >= settings.no_data_share:
        return np.ones(shape, bool)
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / np.float32(settings.size_px)
    lean = rng.uniform(0.03, 0.09) * rng.choice([-1, 1])
    border = rng.uniform(0.05, 0.08) + lean * (rows - 0.5) + 0.002 * smooth_noise(rng, shape, 40)
    return np.rot90(cols >= border, int(rng.integers(4))).copy()


def place_scene(name: str, settings: SyntheticSettings) -> Affine:
    """Return the position of a scene, drawn from a grid of whole kilometres whose cells are as large as a scene.

    Scenes in different cells do not overlap. Two names may draw the same cell: of 240,000 for scenes up to 1 km, of
    1,956 for the largest ones (33 km).
    """
    rng = random_stream(settings.seed, name, "place")
    step = math.ceil(settings.size_px * settings.resolution_m / 1_000)
    columns, rows = EAST_KM // step, min(ROWS, NORTH_KM // step)
    east, north = 300_000 + 1_000 * step * rng.integers(0, columns), 3_000_000 + 1_000 * step * rng.integers(0, rows)
    return Affine(settings.resolution_m, 0, float(east), 0, -settings.resolution_m, float(north))
