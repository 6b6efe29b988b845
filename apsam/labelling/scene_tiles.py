"""The tiles of a scene for labelling; names, order and numbers are those of the run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from apsam.errors import InputError
from apsam.geodesy import metres_of_steps
from apsam.labelling.identity import GridIdentity, raster_identity
from apsam.scenes import SCENE_NAME, tile_files
from apsam.tiles.labels import tile_name
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings
from apsam.tiles.windows import tile_windows


@dataclass
class SceneTiles:
    """All candidate tiles of one scene, in the order of the run.

    Attributes:
        name: Of the scene.
        image: Raster, or folder of ready-made tiles.
        identity: Identity of these tiles.
        names: (n,) of all tiles, including those without data, because a label table lists all of them.
        windows: (n, 4) int32 of row, col, height, width; for a folder's tiles their position in a mosaic of pictures.
        counted: (n,) bool, whether the run keeps the tile (`tiles.min_valid`); the run numbers these from 0.
        crs, transform, height, width: Of the raster; None and 0 for a folder.
        valid_share: (n,) float, share of pixels with data.
        read_valid: Reads the valid pixels of a window of the raster, while it is open.
    """

    name: str
    image: Path
    identity: GridIdentity
    names: list[str]
    windows: np.ndarray
    height: int = 0
    width: int = 0
    crs: CRS | None = None
    transform: Affine | None = None
    valid_share: np.ndarray = field(default_factory=lambda: np.empty(0))
    counted: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    read_valid: Callable[[int, int, int, int], np.ndarray] | None = None

    @property
    def is_raster(self) -> bool:
        """Whether tiles lie next to each other on the ground."""
        return self.crs is not None

    def numbers(self) -> list[int | None]:
        """The number that the run gives every tile; None where the run leaves it out."""
        numbers = np.cumsum(self.counted) - 1
        return [int(number) if kept else None for number, kept in zip(numbers, self.counted, strict=True)]

    def set_valid(self, share: np.ndarray, min_valid: float) -> None:
        """Note the share of valid pixels of every tile, as the tile stage decides by it."""
        self.valid_share = share
        self.counted = share >= max(min_valid, 1e-9)
        if not self.counted.any():
            raise InputError(
                f"{self.image}: no tile has {min_valid:.0%} valid pixels; check its no-data value, 'tiles.nodata' and "
                f"'tiles.min_valid'"
            )


def scene_name(image: Path) -> str:
    """The name of a scene that is not in a scene sheet: the file's stem, other characters replaced by `_`."""
    stem = image.resolve().name if image.is_dir() else image.stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")
    return name if SCENE_NAME.fullmatch(name) else f"scene_{name}".rstrip("_")


def raster_tiles(reader: SceneReader, settings: TileSettings, name: str | None = None) -> SceneTiles:
    """Return the tiles of an open raster; their valid shares are not known yet (`ValidCounter`)."""
    windows = tile_windows(reader.height, reader.width, settings.size, settings.stride)
    name = name or scene_name(reader.path)
    size = (settings.size, settings.stride, reader.height, reader.width)
    return SceneTiles(
        name,
        reader.path,
        raster_identity(name, *size, reader.transform),
        [tile_name(row, col) for row, col, _, _ in windows.tolist()],
        windows,
        reader.height,
        reader.width,
        CRS.from_user_input(reader.crs.to_wkt()),
        reader.transform,
        read_valid=lambda *window: reader.read(*window)[1],
    )


def folder_tiles(folder: Path, name: str | None = None) -> SceneTiles:
    """Return the tiles of a folder of ready-made tiles; their windows are set when pictures are made."""
    names = [file.name for file in tile_files(folder)]
    name = name or scene_name(folder)
    tiles = SceneTiles(name, folder, GridIdentity(name), names, np.zeros((len(names), 4), np.int32))
    tiles.set_valid(np.ones(len(names)), 0)
    return tiles


class ValidCounter:
    """Count the valid pixels of all tiles from strips of the raster, so that each pixel is read once.

    Args:
        tiles: Of a raster.
    """

    def __init__(self, tiles: SceneTiles) -> None:
        self._tiles = tiles
        self._counts = np.zeros(len(tiles.windows), np.int64)

    def add(self, top: int, valid: np.ndarray) -> None:
        """Add the rows from `top` on: (h, width) {0, 1}."""
        height, width = valid.shape
        sums = np.zeros((height + 1, width + 1), np.int64)
        np.cumsum(np.cumsum(valid, axis=0, dtype=np.int64), axis=1, out=sums[1:, 1:])
        row, col, tall, wide = self._tiles.windows.T
        first, last = np.clip(row - top, 0, height), np.clip(row + tall - top, 0, height)
        left, right = np.clip(col, 0, width), np.clip(col + wide, 0, width)
        self._counts += sums[last, right] - sums[first, right] - sums[last, left] + sums[first, left]

    def shares(self) -> np.ndarray:
        """Return (n,) float64 in 0..1: valid pixels over all pixels of a tile, including those beyond the scene."""
        return self._counts / (self._tiles.windows[:, 2] * self._tiles.windows[:, 3])


def count_valid(reader: SceneReader, tiles: SceneTiles, min_valid: float, rows: int = 512) -> None:
    """Read a raster once and set which of its tiles the run keeps."""
    counter = ValidCounter(tiles)
    for top in range(0, reader.height, rows):
        height = min(rows, reader.height - top)
        counter.add(top, reader.read(top, 0, height, reader.width)[1])
    tiles.set_valid(counter.shares(), min_valid)


def metres_on_the_map(crs: CRS, transform: Affine, height: int, width: int) -> tuple[float, float]:
    """Return metres on the ground of a unit of the CRS across and up the map, in the middle of a raster."""
    x, y = transform @ (width / 2, height / 2)
    steps = metres_of_steps(crs, x, y, abs(transform.determinant) ** 0.5 * 16)
    across, up = np.linalg.norm(steps, axis=0).tolist()
    return across, up
