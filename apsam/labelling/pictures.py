"""Pictures of a scene for the label page: a pyramid of JPEG chunks, from which the page draws tiles and surroundings.

Overlapping tiles share pixels, so one picture per tile would store them several times: 20,000 tiles of 256 px with
40 % overlap and their surroundings are 2 GB, as chunks of the scene 0.15 GB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from apsam.labelling.scene_tiles import SceneTiles, ValidCounter
from apsam.progress import track
from apsam.scenes import tile_files
from apsam.tiles.reader import SceneReader
from apsam.tiles.ready_made import read_tile_image
from apsam.tiles.settings import TileSettings

CHUNK = 512
QUALITY = 85

# Grey value of pixels without data: neither as dark as shadow nor as bright as snow.
NO_DATA_GREY = 128


@dataclass
class Level:
    """One resolution of a pyramid.

    Attributes:
        rows, cols: Number of chunks.
        missing: Chunks without any data, numbered row by row; they have no file.
    """

    rows: int
    cols: int
    missing: list[int] = field(default_factory=list)


class PyramidWriter:
    """Write the pyramid of a picture that is added in strips of rows, at full and at halved resolutions.

    Level L is in `<folder>/<L>/<row>_<col>.jpg`; a pixel of it is 2^L pixels wide.

    Args:
        folder: Folder for the chunks.
        height, width: Of the picture, pixels.
        chunk: Side of a chunk, even; the last of a row or column is smaller.
    """

    def __init__(self, folder: Path, height: int, width: int, chunk: int = CHUNK) -> None:
        self._folder, self._chunk = folder, chunk
        self.levels: list[Level] = []
        self._widths: list[int] = []
        while True:
            self.levels.append(Level(math.ceil(height / chunk), math.ceil(width / chunk)))
            self._widths.append(width)
            (folder / str(len(self.levels) - 1)).mkdir(parents=True)
            if max(height, width) <= chunk:
                break
            height, width = math.ceil(height / 2), math.ceil(width / 2)
        self._waiting: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in self.levels]
        self._rows_done = [0] * len(self.levels)

    def add(self, image: np.ndarray, valid: np.ndarray) -> None:
        """Add the next rows, a chunk's side or the rest: image (h, width, 3) uint8 RGB, valid (h, width) uint8."""
        self._add(0, image, valid)

    def close(self) -> None:
        """Write the last, incomplete strip."""
        for level in range(len(self.levels)):
            self._flush(level)

    def _add(self, level: int, image: np.ndarray, valid: np.ndarray) -> None:
        self._waiting[level].append((image, valid))
        if sum(len(part) for part, _ in self._waiting[level]) >= self._chunk:
            self._flush(level)

    def _flush(self, level: int) -> None:
        if not self._waiting[level]:
            return
        image, valid = (np.concatenate(parts) for parts in zip(*self._waiting[level], strict=True))
        self._waiting[level] = []
        row = self._rows_done[level]
        self._rows_done[level] += 1
        for col in range(self.levels[level].cols):
            across = slice(col * self._chunk, (col + 1) * self._chunk)
            if not valid[:, across].any():
                self.levels[level].missing.append(row * self.levels[level].cols + col)
                continue
            write_jpeg(self._folder / f"{level}/{row}_{col}.jpg", image[:, across])
        if level + 1 < len(self.levels):
            size = (self._widths[level + 1], math.ceil(len(image) / 2))
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            some = cv2.resize(valid * np.uint8(255), size, interpolation=cv2.INTER_AREA) > 0
            self._add(level + 1, small, some.astype(np.uint8))


def write_jpeg(partial: Path, image: np.ndarray) -> None:
    """Write (h, w, 3) uint8 RGB into an unfinished folder (`apsam.files.atomic_path`)."""
    done, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    partial.write_bytes(content.tobytes())


def raster_pictures(reader: SceneReader, tiles: SceneTiles, settings: TileSettings, folder: Path) -> list[Level]:
    """Write the pyramid of a raster, and set in `tiles` which of them the run keeps; the raster is read once."""
    writer = PyramidWriter(folder, reader.height, reader.width)
    counter = ValidCounter(tiles)
    for top in track(range(0, reader.height, CHUNK), f"pictures of {tiles.name}"):
        image, valid = reader.read(top, 0, min(CHUNK, reader.height - top), reader.width)
        counter.add(top, valid)
        image = np.ascontiguousarray(image.transpose(1, 2, 0))
        image[valid == 0] = NO_DATA_GREY
        writer.add(image, valid)
    writer.close()
    tiles.set_valid(counter.shares(), settings.min_valid)
    return writer.levels


def folder_pictures(tiles: SceneTiles, folder: Path) -> list[Level]:
    """Write ready-made tiles as a mosaic, one chunk per tile, in the order of their names.

    A tile keeps its proportions; tiles larger than a chunk are reduced, smaller ones are not enlarged. `tiles.windows`
    becomes its position in the mosaic.
    """
    files = tile_files(tiles.image)
    columns = math.ceil(math.sqrt(len(files)))
    rows = math.ceil(len(files) / columns)
    writer = PyramidWriter(folder, rows * CHUNK, columns * CHUNK, CHUNK)
    windows = []
    for row in track(range(rows), f"pictures of {tiles.name}"):
        strip = np.full((CHUNK, columns * CHUNK, 3), NO_DATA_GREY, np.uint8)
        valid = np.zeros(strip.shape[:2], np.uint8)
        for col, file in enumerate(files[row * columns : (row + 1) * columns]):
            image = _at_most(read_tile_image(file), CHUNK)
            height, width = image.shape[:2]
            top, left = (CHUNK - height) // 2, col * CHUNK + (CHUNK - width) // 2
            strip[top : top + height, left : left + width] = image
            valid[top : top + height, left : left + width] = 1
            windows.append((row * CHUNK + top, left, height, width))
        writer.add(strip, valid)
    writer.close()
    tiles.windows = np.array(windows, np.int32)
    tiles.height, tiles.width = rows * CHUNK, columns * CHUNK
    return writer.levels


def _at_most(image: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
