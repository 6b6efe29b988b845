"""Sizes of rasters from their headers, cached: every start of Snakemake needs them for the division of scenes."""

from __future__ import annotations

from pathlib import Path

from workflow_support.memory import Memory


def raster_size(path: Path, memory: Memory, resolution_m: float | None = None) -> tuple[int, int]:
    """Return height and width in pixels as read; (1, 1) for a file that cannot be opened, which other checks report.

    Args:
        path: The raster.
        memory: The cache.
        resolution_m: `tiles.resolution_m`.
    """
    kind = "size" if resolution_m is None else f"size at {resolution_m:g} m"
    try:
        height, width = memory.of_file(kind, path, lambda: _read(path, resolution_m))
    except OSError:
        return 1, 1
    return height, width


def _read(path: Path, resolution_m: float | None) -> tuple[int, int]:
    # Importing rasterio takes longer than everything else in the Snakemake process of a job.
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as raster:
            if resolution_m is None or raster.crs is None:
                return raster.height, raster.width
            from apsam.tiles.resolution import PixelGrid, reading_grid

            stored = PixelGrid(raster.height, raster.width, raster.transform)
            return reading_grid(stored, raster.crs.to_wkt(), resolution_m)[:2]
    except RasterioError:
        return 1, 1
