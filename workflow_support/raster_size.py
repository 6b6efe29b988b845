"""Sizes of rasters, from their headers, remembered: every job's Snakemake has to know how scenes are divided."""

from __future__ import annotations

from pathlib import Path

from workflow_support.memory import Memory


def raster_size(path: Path, memory: Memory) -> tuple[int, int]:
    """Height and width in pixels; (1, 1) for a file that cannot be opened, which other checks name."""
    try:
        height, width = memory.of_file("size", path, lambda: _read(path))
    except OSError:
        return 1, 1
    return height, width


def _read(path: Path) -> tuple[int, int]:
    # Importing rasterio takes longer than all else that the Snakemake of a job does.
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as raster:
            return raster.height, raster.width
    except RasterioError:
        return 1, 1
