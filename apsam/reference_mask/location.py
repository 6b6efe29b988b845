"""Check that a mask raster is georeferenced, or has at least the shape of its scene."""

from __future__ import annotations

from pathlib import Path

import rasterio

from apsam.errors import InputError
from apsam.tiles.georeference import check_placed
from apsam.tiles.open_raster import open_raster
from apsam.tiles.reader import SceneReader


def check_mask_header(path: Path, scene: SceneReader) -> None:
    """Raise InputError if the header of a mask raster shows that it does not fit a scene."""
    with open_raster(path) as raster:
        check_mask_location(raster, path, scene)


def check_mask_location(raster: rasterio.DatasetReader, path: Path, scene: SceneReader) -> None:
    """Raise InputError unless a mask raster is georeferenced, or is not at all and has the scene's shape."""
    if raster.crs is not None:
        check_placed(raster, path, "the mask")
        return
    if raster.gcps[0]:
        check_placed(raster, path, "the mask")
    stored = scene.stored
    if raster.shape != (stored.height, stored.width):
        raise InputError(
            f"{path}: is {raster.width} x {raster.height} px without a CRS, the scene {scene.path} is "
            f"{stored.width} x {stored.height}; give the mask a CRS and it will be reprojected"
        )
    if not raster.transform.is_identity and not raster.transform.almost_equals(
        stored.transform, precision=scene.resolution / 1000
    ):
        raise InputError(
            f"{path}: has no coordinate reference system, and its geotransform is not that of the scene {scene.path}; "
            f"assign the right one, for example: gdal_edit.py -a_srs {scene.crs.to_string()} {path}"
        )
