"""Sizes of rasters, from their headers, remembered from one start of Snakemake to the next.

Every job starts a Snakemake of its own, which has to know how scenes are divided, and must not open thousands of files.
"""

from __future__ import annotations

import json
from pathlib import Path

from apsam.files import write_json

MEMORY = Path(".snakemake/apsam_raster_sizes.json")


class RasterSizes:
    """Height and width of rasters. A file that cannot be opened counts as small: other checks speak of it."""

    def __init__(self, memory: Path = MEMORY) -> None:
        self._memory = memory
        self._changed = False
        try:
            self._known: dict[str, list[int]] = json.loads(memory.read_text())
        except (OSError, ValueError):
            self._known = {}

    def of(self, path: Path) -> tuple[int, int]:
        """Height and width, pixels."""
        try:
            status = path.stat()
        except OSError:
            return 1, 1
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(str(path))
        if known is None or known[:2] != stamp:
            known = self._known[str(path)] = [*stamp, *_read(path)]
            self._changed = True
        return known[2], known[3]

    def save(self) -> None:
        """Write down what is new."""
        if self._changed:
            write_json(self._memory, self._known)
            self._changed = False


def _read(path: Path) -> tuple[int, int]:
    # rasterio takes longer to import than all that a Snakemake of a job has to do.
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as raster:
            return raster.height, raster.width
    except RasterioError:
        return 1, 1
