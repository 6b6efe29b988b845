"""Write small rasters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

# 0.5 m a pixel, in UTM zone 48 north.
CRS = "EPSG:32648"
TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 3_000_000)


def write_raster(
    path: Path,
    values: np.ndarray,
    crs: Any = CRS,
    transform: Any = TRANSFORM,
    mask: np.ndarray | None = None,
    **more: Any,
) -> Path:
    """Write a GeoTIFF.

    Args:
        path: The file; its folder is made.
        values: (bands, height, width), or (height, width).
        crs, transform: Where it lies.
        mask: (height, width), 0 where it has no data: written into the file.
        more: Driver, no-data value and further options of `rasterio.open`.
    """
    values = values if values.ndim == 3 else values[None]
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype.name, **more}
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", crs=crs, transform=transform, **profile) as raster,
    ):
        raster.write(values)
        if mask is not None:
            raster.write_mask(mask)
    return path
