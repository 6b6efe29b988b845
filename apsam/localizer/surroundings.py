"""Read tiles with the scene's pixels around them, so that a network's view does not end at the tile's border."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from apsam.errors import ConfigError
from apsam.sam.windows import open_scene_of
from apsam.stack import TileStack
from apsam.tiles.pixels import Pixels
from apsam.tiles.reader import SceneReader


class Surroundings:
    """Tiles with their surroundings.

    A tile of a raster scene is surrounded by the scene's pixels. Beyond the scene's border, and around ready-made
    tiles, pixels are mirrored.

    Args:
        tiles: The open tile stack.
        image: The raster of the tiles; None for ready-made tiles, or without surroundings.
        context: Pixels around a tile.

    Raises:
        ConfigError: The image of a raster scene is not named.
        InputError: It is not the raster that the tiles were cut from.
    """

    def __init__(self, tiles: TileStack, image: Path | None, context: int) -> None:
        self._context = context
        self._scene: SceneReader | None = None
        if not context:
            return
        self._windows = tiles.read("window")
        if tiles.attributes["kind"] == "raster":
            if image is None:
                raise ConfigError(f"cams.context: the image of '{tiles.attributes['scene']}' is needed too (--image)")
            self._scene = open_scene_of(tiles, image)

    def __enter__(self) -> Surroundings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._scene is not None:
            self._scene.close()

    def around(self, indices: Sequence[int] | np.ndarray, images: np.ndarray) -> np.ndarray:
        """Read tiles (n, 3, h, w) uint8 by index, with `context` more pixels on every side."""
        if not self._context:
            return images
        if self._scene is None:
            return _mirrored(images, [(self._context, self._context)] * 2)
        return np.stack([read_around(self._scene, self._windows[index], self._context) for index in indices])


def read_around(scene: Pixels, window: np.ndarray, context: int) -> np.ndarray:
    """Read a window of a scene with its surroundings, mirrored beyond the scene's border.

    Args:
        scene: The open scene.
        window: (4,) of row, col, height, width.
        context: Pixels around the window.

    Returns:
        (3, height + 2 context, width + 2 context) uint8.
    """
    row, col, height, width = window.tolist()
    starts = (row - context, col - context)
    stops = (row + height + context, col + width + context)
    # For a scene smaller than a tile, the tile's own padding is kept.
    ends = (max(scene.height, row + height), max(scene.width, col + width))
    first = [max(start, 0) for start in starts]
    last = [min(stop, end) for stop, end in zip(stops, ends, strict=True)]
    image, _ = scene.read(first[0], first[1], last[0] - first[0], last[1] - first[1])
    missing = [(a - start, stop - b) for a, start, stop, b in zip(first, starts, stops, last, strict=True)]
    return _mirrored(image[None], missing)[0]


def _mirrored(images: np.ndarray, missing: Sequence[tuple[int, int]]) -> np.ndarray:
    """Add mirrored rows and columns to images (n, 3, h, w) on both sides."""
    return np.pad(images, [(0, 0), (0, 0), *missing], mode="symmetric")
