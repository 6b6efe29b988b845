"""Read a reference mask, raster or polygons, by windows of a scene."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from apsam.reference_mask.polygons import PolygonMask
from apsam.reference_mask.raster import RasterMask
from apsam.tiles.mask_values import NO_DATA
from apsam.tiles.reader import SceneReader
from apsam.vectors.layers import is_vector


class ReferenceMaskReader:
    """Windows of a mask raster or a polygon layer as {0, 1, 255}.

    The meaning of a raster's values is derived from the whole raster (`apsam.tiles.mask_values`). Pixels are unknown
    (255) if the raster does not cover them, has its declared no-data value in all bands, or no finite value. A
    declared no-data value of 0, which QGIS's Rasterize writes, and full transparency mean background (0); otherwise
    only landslide pixels would be labelled, and any map would score 1.0. A raster of another CRS, shape or position is
    reprojected (nearest); without a CRS it must have the scene's shape. Polygons are rasterized with the pixel-centre
    rule. If the scene is read on coarser pixels (`tiles.resolution_m`), a pixel has its most frequent value.

    Args:
        path: Mask raster or vector layer (`file.gpkg|layername=landslides` if there are several).
        scene: The scene, which must stay open.
        values: Meaning of the raster's values, if they are ambiguous (`mask_values` of the scene sheet).

    Attributes:
        note: How ambiguous values were read, for the user; None if they are not ambiguous.
        no_data: The value that a raster declares for pixels that were not examined, or None.

    Raises:
        InputError: The mask cannot be read, does not fit the scene, contains no polygons, or its values are ambiguous.
    """

    def __init__(self, path: Path | str, scene: SceneReader, values: str | None = None) -> None:
        self.path = Path(path)
        self._scene = scene
        vector = is_vector(self.path)
        self._mask: Mask = PolygonMask(self.path, scene) if vector else RasterMask(self.path, scene, values)
        self.note = self._mask.note
        self.no_data = self._mask.no_data

    def __enter__(self) -> ReferenceMaskReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the mask."""
        self._mask.close()

    def overview(self, side: int) -> np.ndarray:
        """Read the whole scene, decimated so that the longer side has about `side` pixels: uint8 as in `read`."""
        height, width = self._scene.height, self._scene.width
        step = max(1, max(height, width) // side)
        return self._mask.overview(max(1, height // step), max(1, width // step))

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """Read one window, which may extend beyond the scene: (height, width) uint8 {0, 1 landslide, 255 unknown}."""
        reference = np.full((height, width), NO_DATA, np.uint8)
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + height, self._scene.height), min(col + width, self._scene.width)
        if bottom > top and right > left:
            known = self._mask.read(top, left, bottom - top, right - left)
            reference[top - row : bottom - row, left - col : right - col] = known
        return reference


class Mask(Protocol):
    """A mask that is read by windows within the scene."""

    note: str | None
    no_data: float | None

    def overview(self, height: int, width: int) -> np.ndarray:
        """Read the whole scene, (height, width) uint8 {0, 1, 255}."""

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """Read one window, (height, width) uint8 {0, 1, 255}."""

    def close(self) -> None:
        """Close the file."""
