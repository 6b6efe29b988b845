"""Read every so many pixels of a raster as they are stored.

A decimated read of GDAL takes pixels from overviews, which are averages in most files (COG): a mask of 0 and 255 has
other values in them, and an image less contrast.
"""

from __future__ import annotations

import numpy as np
import rasterio


def may_have_overviews(raster: rasterio.DatasetReader) -> bool:
    """Whether a decimated read may come from overviews; the sources of a virtual raster may have some."""
    return bool(raster.overviews(1)) or raster.driver == "VRT"


def sampled_lines(length: int, count: int) -> np.ndarray:
    """Return the rows, or columns, that GDAL takes for `count` of `length` by nearest neighbour, (count,) int."""
    return np.floor((np.arange(count) + 0.5) * (length / count) + 1e-10).astype(int)
