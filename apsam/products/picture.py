"""Write a small copy of a scene's image, to be shared with its maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from apsam.files import atomic_path
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

# Longer side in pixels; a larger scene is decimated.
LONGEST_SIDE = 4096

QUALITY = 85

# Rows that are converted to 8 bit at once: the conversion needs 30 to 40 bytes a value.
STRIP = 128


class _InStrips(SceneReader):
    """Read a scene with less memory: values become 8 bit strip by strip, with the same results."""

    def _to_8_bit(self, values: np.ndarray) -> np.ndarray:
        image = np.empty(values.shape, np.uint8)
        for row in range(0, values.shape[1], STRIP):
            image[:, row : row + STRIP] = super()._to_8_bit(values[:, row : row + STRIP])
        return image


def write_picture(image: Path, settings: TileSettings, output: Path, name: str) -> None:
    """Write a scene as 8-bit RGB with the stretch of the networks: a COG in JPEG with a mask of its no-data.

    Args:
        image: The scene.
        settings: Bands and stretch.
        output: GeoTIFF to write.
        name: Of the scene.

    Raises:
        InputError: The scene cannot be read.
    """
    with _InStrips(image, settings) as scene:
        pixels, valid = scene.overview(LONGEST_SIDE)
        height, width = valid.shape
        place = scene.transform @ Affine.scale(scene.width / width, scene.height / height)
        profile = {"driver": "GTiff", "count": 3, "height": height, "width": width, "dtype": "uint8"}
        with MemoryFile() as memory, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            with memory.open(crs=scene.crs, transform=place, photometric="RGB", **profile) as raster:
                raster.write(pixels)
                raster.write_mask((valid * np.uint8(255)).astype(np.uint8))
                raster.update_tags(APSAM_SCENE=name)
            with memory.open() as raster, atomic_path(output) as partial:
                copy(raster, partial, driver="COG", COMPRESS="JPEG", QUALITY=QUALITY, OVERVIEWS="AUTO")
