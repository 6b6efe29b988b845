"""Read every so many pixels of a raster as they are stored.

A decimated read of GDAL takes pixels from overviews, which are averages in most files (COG): a mask of 0 and 255 has
other values in them, and an image less contrast.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import rasterio

# Columns that are read at once, or one block of a raster.
AT_ONCE = 2048


def may_have_overviews(raster: rasterio.DatasetReader) -> bool:
    """Whether a decimated read may come from overviews; the sources of a virtual raster may have some."""
    return bool(raster.overviews(1)) or raster.driver == "VRT"


def sampled_lines(length: int, count: int) -> np.ndarray:
    """Return the rows, or columns, that GDAL takes for `count` of `length` by nearest neighbour, (count,) int."""
    return np.floor((np.arange(count) + 0.5) * (length / count) + 1e-10).astype(int)


def column_groups(columns: np.ndarray, block: int) -> Iterator[slice]:
    """Divide sampled columns (n,) in order into groups that lie in whole blocks of a raster.

    Read one group after the other, each row by row: the blocks that the rows of one group share then fit into GDAL's
    cache, and each is decompressed once. Those of rows over a whole wide image may not.

    Args:
        columns: From 0.
        block: Width of a block.

    Yields:
        Where each group is in `columns`.
    """
    group = columns // (block * max(1, AT_ONCE // block))
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(columns)]
    yield from (slice(*edge) for edge in pairwise(edges))
