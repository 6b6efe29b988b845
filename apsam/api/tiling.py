"""Cut images into overlapping tiles, and blend values of tiles into an image."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral

import numpy as np

from apsam.api.arrays import unmasked
from apsam.errors import InputError
from apsam.maps.blend import blend_weights
from apsam.tiles.settings import TileSettings
from apsam.tiles.windows import tile_windows

# An image of so few rows and more channels than this has its bands first, as rasterio reads them.
MOST_BANDS = 16


def cut_tiles(image: np.ndarray, size: int = 256, overlap: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Cut an image into overlapping tiles; the last tile of an axis is moved to the image's border.

    Args:
        image: (H, W) or (H, W, C) of any type.
        size: Side of a tile, pixels. A smaller image is padded with zeros at the right and below.
        overlap: Share of a tile that overlaps its neighbour, 0 <= overlap < 0.9 (paper: 0.4).

    Returns:
        Tiles (n, size, size) or (n, size, size, C), and their windows (n, 4) int32 of row, col, height and width.

    Raises:
        InputError: The image is empty, masked or (bands, H, W), or size and overlap cannot be used.

    Examples:
        >>> import numpy as np
        >>> tiles, windows = cut_tiles(np.zeros((300, 400, 3), np.uint8), size=256)
        >>> tiles.shape
        (4, 256, 256, 3)
        >>> windows.tolist()
        [[0, 0, 256, 256], [0, 144, 256, 256], [44, 0, 256, 256], [44, 144, 256, 256]]
    """
    image = unmasked(image, "image")
    if image.ndim not in (2, 3) or not image.size:
        raise InputError(f"image: needs (H, W) or (H, W, C), is {image.shape}")
    if image.ndim == 3 and image.shape[0] <= MOST_BANDS < image.shape[2]:
        raise InputError(f"image: needs (H, W, C), is {image.shape}; move the bands: image.transpose(1, 2, 0)")
    if not isinstance(size, Integral) or size < 1 or not 0 <= overlap < 0.9:
        raise InputError(f"size and overlap: need a positive size and 0 <= overlap < 0.9, are {size} and {overlap}")
    height, width = image.shape[:2]
    stride = max(1, round(size * (1 - overlap)))
    windows = tile_windows(height, width, size, stride)
    missing = [(0, max(0, size - height)), (0, max(0, size - width))]
    filled = np.pad(image, [*missing, (0, 0)][: image.ndim])
    return np.stack([filled[row : row + size, col : col + size] for row, col, _, _ in windows.tolist()]), windows


def blend_tiles(tiles: Iterable[np.ndarray], windows: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Blend values of overlapping tiles: their mean, weighted by a raised cosine that is highest at a tile's centre.

    Args:
        tiles: n arrays (size, size) of numbers, in the order of `windows`; an iterator is consumed one by one.
        windows: (n, 4) of row, col, height and width, as returned by `cut_tiles`.
        shape: Height and width of the image.

    Returns:
        (H, W) float32; NaN where there is no tile.

    Raises:
        InputError: There are more or fewer tiles than windows, a tile has another size than its window, or windows
            and shape are of different images.

    Examples:
        >>> import numpy as np
        >>> image = np.arange(300 * 400).reshape(300, 400)
        >>> tiles, windows = cut_tiles(image)
        >>> bool(np.allclose(blend_tiles(tiles, windows, image.shape), image))
        True
    """
    height, width = shape
    total, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    places = np.asarray(windows).tolist()
    # Only the first tile of an axis may be larger than the image (`cut_tiles`).
    if any((row and row + size > height) or (col and col + size > width) for row, col, size, _ in places):
        raise InputError(f"windows: reach beyond the image of (height, width) {shape}; give the shape that was cut")
    problem = f"tiles: need one of the windows' size for each of the {len(places)} windows"
    try:
        for tile, (row, col, size, _) in zip(tiles, places, strict=True):
            values = unmasked(tile, "tiles")
            if values.shape != (size, size):
                raise InputError(f"{problem}, one is {values.shape}")
            weights = blend_weights(size)[: height - row, : width - col]
            place = (slice(row, row + size), slice(col, col + size))
            total[place] += values[: height - row, : width - col] * weights
            weight[place] += weights
    except ValueError as error:
        raise InputError(problem) from error
    return np.divide(total, weight, out=np.full(shape, np.nan, np.float32), where=weight > 0)


def windows_of(height: int, width: int, tiles: TileSettings) -> np.ndarray:
    """Return the tiles of an image as in a run: (n, 4) int32 of row, col, height, width."""
    return tile_windows(height, width, tiles.size, tiles.stride)
