"""Windows of a scene at its native resolution, each encoded once for all tiles in it (`sam.window`).

SAM takes 1,024 px. A 256 px tile resized to that is enlarged four times. A window of 1,024 px of the
scene is not enlarged, contains some 25 tiles that overlap by 40 %, and shows their surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apsam.errors import ConfigError, InputError
from apsam.sidecar_files import image_checksum
from apsam.stack import TileStack
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings
from apsam.tiles.windows import positions


@dataclass(frozen=True)
class WindowPlan:
    """Windows to encode, with the tiles assigned to each.

    Attributes:
        windows: (m, 4) int32 row, col, height, width in the scene's pixels; all of one size.
        tiles: For each window, its tiles, by index in the tile stack: (k,) int32.
        corners: For each window, x and y of these tiles' top-left pixels in it: (k, 2) int32.
    """

    windows: np.ndarray
    tiles: list[np.ndarray]
    corners: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.windows)


def window_size(side: int, tile_size: int, height: int, width: int) -> tuple[int, int]:
    """Return height and width of a scene's windows: `side`, or the scene's if that is less.

    Raises:
        ConfigError: A tile does not fit into a window.
    """
    if side < tile_size:
        raise ConfigError(f"sam.window: {side} is less than a tile's side, {tile_size}; use 1024, or null for tiles")
    return max(tile_size, min(side, height)), max(tile_size, min(side, width))


def most_tiles(size: tuple[int, int], tile_size: int, stride: int) -> int:
    """Return the maximum number of tiles per window; the scene's last tile may be closer than a stride."""
    down, across = ((side - tile_size) // stride + 2 for side in size)
    return down * across


def plan_windows(windows: np.ndarray, wanted: np.ndarray, size: tuple[int, int], scene: tuple[int, int]) -> WindowPlan:
    """Cover the tiles of a stack with windows, so that every tile is completely inside one.

    Windows form a grid over all tiles; a tile is assigned to the one in which it lies most centrally. Windows without
    a wanted tile are left out.

    Args:
        windows: (n, 4) int32 row, col, height, width of the tiles in the scene's pixels, all of one size.
        wanted: Indices of the tiles to cover.
        size: Height and width of a window (`window_size`).
        scene: Height and width of the scene.
    """
    if not len(wanted):
        return WindowPlan(np.zeros((0, 4), np.int32), [], [])
    tile = int(windows[0, 2])
    rows, cols = (_starts(windows[:, axis], tile, size[axis], scene[axis]) for axis in (0, 1))
    row_of, col_of = (
        _most_central(windows[wanted, axis], tile, starts, size[axis]) for axis, starts in ((0, rows), (1, cols))
    )
    used, place = np.unique(row_of * len(cols) + col_of, return_inverse=True)
    chosen = np.array([(rows[key // len(cols)], cols[key % len(cols)], *size) for key in used], np.int32)
    members = [np.flatnonzero(place == number) for number in range(len(used))]
    return WindowPlan(
        windows=chosen,
        tiles=[wanted[some].astype(np.int32) for some in members],
        corners=[
            (windows[wanted[some], :2] - window[:2])[:, ::-1].astype(np.int32)
            for some, window in zip(members, chosen, strict=True)
        ],
    )


def _starts(first: np.ndarray, tile: int, side: int, length: int) -> np.ndarray:
    """Return the first pixels of the windows along one axis, so that every tile is inside one, and in the scene."""
    low, high = int(first.min()), int(first.max()) + tile
    # The largest distance with which every tile, at any position, is completely inside one window.
    starts = np.array(positions(high - low, side, max(1, side - tile))) + low
    if len(starts) == 1:
        starts -= (side - (high - low)) // 2
    return np.unique(np.clip(starts, 0, max(0, length - side)))


def _most_central(first: np.ndarray, tile: int, starts: np.ndarray, side: int) -> np.ndarray:
    """Return, for tiles along one axis, the window in which each lies most centrally."""
    begin = first[:, None] - starts
    inside = (begin >= 0) & (begin + tile <= side)
    return np.where(inside, np.abs(2 * begin + tile - side), np.iinfo(int).max).argmin(axis=1)


def open_scene_of(tiles: TileStack, image: Path | None) -> SceneReader:
    """Open the raster of the tiles, with the same bands, stretch and no data.

    Raises:
        ConfigError: The tiles are ready-made ones, or the image is not named.
        InputError: The image is not the raster that the tiles were cut from.
    """
    scene = tiles.attributes["scene"]
    if tiles.attributes["kind"] != "raster":
        raise ConfigError(
            f"sam.window: '{scene}' is a folder of ready-made tiles, which have no surroundings; set sam.window: null"
        )
    if image is None:
        raise ConfigError(f"sam.window: the image of '{scene}' is needed too (--image)")
    known = tiles.attributes["image_sha256"]
    if known is not None and image_checksum(image) != known:
        raise InputError(f"{image}: not the image that {tiles.path} was cut of; run the tile stage again")
    return SceneReader(image, TileSettings(**tiles.attributes["made_by"]["tiles"]))
