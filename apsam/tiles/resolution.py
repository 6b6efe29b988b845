"""The pixel grid that a scene is read on: the stored one, or a coarser one for `tiles.resolution_m` (area averages)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pyproj import CRS
from rasterio.transform import Affine

from apsam.datums import to_degrees

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# A pixel coarser than this times the requested resolution is not resampled.
NEARLY = 1.05


class PixelGrid(NamedTuple):
    """Pixel grid of a raster.

    Attributes:
        height, width: Number of pixels.
        transform: Pixel to map.
    """

    height: int
    width: int
    transform: Affine


def reading_grid(stored: PixelGrid, crs: str, resolution_m: float | None) -> PixelGrid:
    """Return the grid that a scene is read on.

    Its pixels cover the extent of the stored ones exactly, so their side differs a little from `resolution_m`. Each
    axis is reduced separately: pixels of a raster in degrees become square on the ground. An axis that is already
    as coarse is not changed, because interpolation adds no detail.

    Args:
        stored: Pixels of the file.
        crs: As WKT.
        resolution_m: Side of a pixel on the ground, m; None: as stored.
    """
    sides = None if resolution_m is None else ground_sides_m(crs, stored)
    if sides is None:
        return stored
    assert resolution_m is not None
    across, down = (max(1.0, resolution_m / side) if resolution_m > NEARLY * side else 1.0 for side in sides)
    height, width = max(1, round(stored.height / down)), max(1, round(stored.width / across))
    if (height, width) == (stored.height, stored.width):
        return stored
    scale = Affine.scale(stored.width / width, stored.height / height)
    return PixelGrid(height, width, stored.transform @ scale)


def ground_sides_m(crs: str, grid: PixelGrid) -> tuple[float, float] | None:
    """Return the sides of the pixel in the middle of a raster along a row and a column, m on the ground, in any CRS.

    They are measured on the ellipsoid: a metre of Web Mercator is half a metre at 60 degrees north.

    Args:
        crs: As WKT.
        grid: Its pixels.

    Returns:
        None where they are not defined.
    """
    reference = CRS.from_wkt(crs)
    geod = reference.get_geod()
    if geod is None or reference.geodetic_crs is None:
        return None
    row, col = grid.height / 2, grid.width / 2
    corners = [grid.transform @ place for place in ((col, row), (col + 1, row), (col, row + 1))]
    longitudes, latitudes = to_degrees(reference, *np.transpose(corners))
    if not np.isfinite([*longitudes, *latitudes]).all():
        return None
    across, down = geod.inv([longitudes[0]] * 2, [latitudes[0]] * 2, longitudes[1:], latitudes[1:])[2]
    return (float(across), float(down)) if across > 0 and down > 0 else None


def ground_resolution_m(crs: str, transform: Affine, height: int, width: int) -> float | None:
    """Return the mean side of the pixel in the middle of a raster, m on the ground (`ground_sides_m`), or None.

    Args:
        crs: As WKT.
        transform: Pixel to map.
        height, width: Of the raster, pixels.
    """
    sides = ground_sides_m(crs, PixelGrid(height, width, transform))
    return None if sides is None else float(np.sqrt(np.prod(sides)))


def pixel_edges(first: int, count: int, step: float, last: int) -> np.ndarray:
    """Return edges of `count` pixels from `first` on, each `step` stored pixels wide, up to `last`: (count + 1,)."""
    return np.minimum((first + np.arange(count + 1)) * step, last)


def area_sums(values: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Sum stored pixels over coarser ones; a shared pixel is divided by area.

    Args:
        values: (bands, h, w), finite.
        rows, cols: Edges of the coarser pixels, increasing, in stored pixels: (m + 1,) in [0, h], (n + 1,) in [0, w].

    Returns:
        (bands, m, n) float64.
    """
    bands, height, width = values.shape
    down, across = _shares(rows, height), _shares(cols, width)
    # One product with a sparse matrix per axis; the summed axis comes first.
    by_row = np.ascontiguousarray(values.transpose(1, 0, 2), np.float64).reshape(height, -1)
    by_col = (down @ by_row).reshape(-1, bands, width).transpose(2, 1, 0).reshape(width, -1)
    return (across @ np.ascontiguousarray(by_col)).reshape(-1, bands, len(rows) - 1).transpose(1, 2, 0)


def _shares(edges: np.ndarray, length: int) -> csr_array:
    """Return (coarser pixels, stored pixels): the share of each stored pixel in each coarser one."""
    from scipy.sparse import csr_array  # imported here: it takes a fifth of a second, which is saved for stored pixels

    first = np.floor(edges[:-1]).astype(int)
    counts = np.maximum(np.minimum(np.ceil(edges[1:]).astype(int), length) - first, 0)
    starts = np.concatenate([[0], np.cumsum(counts)])
    coarse = np.repeat(np.arange(len(counts)), counts)
    stored = np.arange(starts[-1]) - starts[coarse] + first[coarse]
    share = np.minimum(edges[1:][coarse], stored + 1) - np.maximum(edges[:-1][coarse], stored)
    return csr_array((share, stored, starts), shape=(len(counts), length))


def area_means(
    values: np.ndarray, valid: np.ndarray, gaps: Sequence[float | None], rows: np.ndarray, cols: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average the valid values of each band over the pixels of a coarser grid.

    Args:
        values: (bands, h, w).
        valid: (h, w) {0, 1}.
        gaps: The value of each band that is no data in it alone, and is left out; None: no such value.
        rows, cols: As of `area_sums`.

    Returns:
        Means (bands, h, w) float64, of a band without a value of its own its value of `gaps`; areas of valid (h, w).
    """
    data = np.where(valid > 0, values, 0)
    known = [gap is not None for gap in gaps]
    if not any(known):
        *total, area = area_sums(np.stack([*data, valid]), rows, cols)
        return np.stack(total) / np.maximum(area, 1e-9), area
    gap = np.array([0.0 if value is None else value for value in gaps])[:, None, None]
    own = valid * ~((values == gap) & np.array(known)[:, None, None])
    count = len(values)
    sums = area_sums(np.concatenate([np.where(own > 0, data, 0), own, valid[None]]), rows, cols)
    means = np.where(sums[count:-1] > 0, sums[:count] / np.maximum(sums[count:-1], 1e-9), gap)
    return means, sums[-1]
