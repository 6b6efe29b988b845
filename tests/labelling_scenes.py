"""Scenes for the tests of labelling: a small raster with a corner without data, and layers of landslides on it."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
from affine import Affine
from rasters import write_raster
from shapely.geometry.base import BaseGeometry

from apsam.tiles.settings import TileSettings

CRS = "EPSG:32647"
TRANSFORM = Affine(0.5, 0, 500000, 0, -0.5, 3400000)

# 64 px tiles with a stride of 32 px: 9 x 7 candidates in 320 x 256 px.
SMALL = TileSettings(size=64, overlap=0.5)
HEIGHT, WIDTH = 256, 320


def write_scene(path: Path, transform: Affine = TRANSFORM, crs: str = CRS, empty: int = 80) -> Path:
    """A raster of smooth noise, without data in its upper left corner of `empty` px."""
    rng = np.random.default_rng(3)
    values = np.kron(rng.integers(40, 250, (3, HEIGHT // 8, WIDTH // 8)), np.ones((8, 8))).astype(np.uint8)
    values[:, :empty, :empty] = 0
    return write_raster(path, values, crs, transform, nodata=0)


def write_layer(path: Path, *shapes: BaseGeometry, crs: str = CRS) -> Path:
    """A vector layer."""
    gpd.GeoDataFrame(geometry=list(shapes), crs=crs).to_file(path)
    return path


def on_map(col: float, row: float) -> tuple[float, float]:
    """Coordinates on the map of a place in pixels."""
    return TRANSFORM @ (col, row)
