"""Rasters on the pixel grid of a scene, written and read a few rows or one window at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from apsam import __version__
from apsam.errors import InputError
from apsam.files import atomic_path
from apsam.stack import TileStack

# Side of the blocks of a raster, and rows that are written at once: a band of rows is a whole row of blocks.
BLOCK = 512


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a scene lie.

    Attributes:
        scene: Its name.
        height, width: Its size, pixels.
        crs: Coordinate reference system, WKT.
        transform: Pixel to map.
    """

    scene: str
    height: int
    width: int
    crs: str
    transform: Affine

    @classmethod
    def of_tiles(cls, tiles: Path) -> Grid:
        """The grid of the scene that tiles were cut of.

        Raises:
            InputError: They are ready-made tiles, which lie on no common grid.
        """
        with TileStack(tiles) as stack:
            attributes = stack.attributes
        if attributes["kind"] != "raster":
            raise InputError(
                f"{tiles}: '{attributes['scene']}' is a folder of ready-made tiles, which have no common pixel grid; "
                f"give the scene as one raster"
            )
        place = (attributes["height"], attributes["width"], attributes["crs"], Affine(*attributes["transform"]))
        return cls(attributes["scene"], *place)


class GridWriter:
    """Write a raster from the top down; the GeoTIFF appears, whole, when the `with` block ends without an error.

    Args:
        path: GeoTIFF to make.
        grid: Its grid.
        bands: Descriptions of its bands.
        dtype: NumPy dtype of the values.
        nodata: Value of pixels that nothing is known of.
        tags: Strings stored with it; the scene's name and the version of apsam are added.
    """

    def __init__(
        self, path: Path, grid: Grid, bands: Sequence[str], dtype: str, nodata: int, tags: Mapping[str, Any]
    ) -> None:
        self._path = path
        self._bands = list(bands)
        self._tags = {**tags, "APSAM_SCENE": grid.scene, "TIFFTAG_SOFTWARE": f"apsam {__version__}"}
        self._profile = {
            "driver": "GTiff",
            "height": grid.height,
            "width": grid.width,
            "count": len(self._bands),
            "dtype": dtype,
            "nodata": nodata,
            "crs": grid.crs,
            "transform": grid.transform,
            "tiled": True,
            "blockxsize": BLOCK,
            "blockysize": BLOCK,
            "compress": "DEFLATE",
            "BIGTIFF": "IF_SAFER",
        }

    def __enter__(self) -> GridWriter:
        with ExitStack() as opening:
            partial = opening.enter_context(atomic_path(self._path))
            self._raster = opening.enter_context(rasterio.open(partial, "w", **self._profile))
            self.add_tags(self._tags)
            self._raster.descriptions = tuple(self._bands)
            self._open = opening.pop_all()
        return self

    def write(self, row: int, values: np.ndarray) -> None:
        """Write rows from row `row` on: (bands, rows, width)."""
        self._raster.write(values, window=Window(0, row, values.shape[2], values.shape[1]))

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Store more strings, which are known only once all is written."""
        self._raster.update_tags(**{key: str(value) for key, value in tags.items()})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


class GridReader:
    """Read windows of a raster on a scene's grid.

    Args:
        path: GeoTIFF that `GridWriter` wrote.
        grid: The grid it must have; None: any.
        dtype: NumPy dtype of its values, by which heat maps differ from masks; None: any.

    Attributes:
        height, width: Its size, pixels.
        count: Number of its bands.
        tags: Strings stored with it.

    Raises:
        InputError: It cannot be read, or has another grid or other values.
    """

    def __init__(self, path: Path, grid: Grid | None = None, dtype: str | None = None) -> None:
        try:
            self._raster = rasterio.open(path)
        except RasterioError as error:
            raise InputError(f"{path}: not a raster that can be read ({error}); make it again") from error
        self.path = path
        self.height, self.width = self._raster.shape
        self.count = int(self._raster.count)
        self.tags: dict[str, str] = self._raster.tags()
        self._fill = 255 if self._raster.nodata is None else self._raster.nodata
        if grid is not None and (
            (self.height, self.width) != (grid.height, grid.width)
            or not self._raster.transform.almost_equals(grid.transform, 1e-9)
        ):
            self.close()
            raise InputError(
                f"{path}: has another pixel grid ({self.width} x {self.height} px) than the scene '{grid.scene}' "
                f"({grid.width} x {grid.height} px); make it again from the tiles of this scene"
            )

        if dtype is not None and self._raster.dtypes[0] != dtype:
            found = self._raster.dtypes[0]
            self.close()
            raise InputError(
                f"{path}: its values are {found}, not {dtype}, so it is another kind of raster; give the right file"
            )

    def __enter__(self) -> GridReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the raster."""
        self._raster.close()

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        """Values of a window, (height, width); those beyond the raster are its no-data value (255 by default).

        Raises:
            InputError: The raster has no such band, or cannot be read.
        """
        if band > self.count:
            raise InputError(f"{self.path}: has no band {band}, so it is another kind of raster; give the right file")
        values = np.full((height, width), self._fill, self._raster.dtypes[band - 1])
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + height, self.height), min(col + width, self.width)
        if top < bottom and left < right:
            try:
                read = self._raster.read(band, window=Window(left, top, right - left, bottom - top))
            except RasterioError as error:
                raise InputError(f"{self.path}: pixels cannot be read ({error}); make it again") from error
            values[top - row : bottom - row, left - col : right - col] = read
        return values


def row_bands(height: int) -> Iterator[tuple[int, int]]:
    """First row and number of rows of the bands that a raster is written in."""
    for top in range(0, height, BLOCK):
        yield top, min(BLOCK, height - top)
