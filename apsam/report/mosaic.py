"""The tiles of a scene laid back where they were cut, at the size of a screen."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from apsam.stack import TileStack

BATCH = 64

# From the half-pixels of `outlines`, whose whole numbers are their centres, to pixels with corners at whole numbers.
OUTLINE_TRANSFORM = "translate(.25 .25) scale(.5)"


class Mosaic:
    """The grid of a scene's map: its pixels are the scene's, shrunk so that the longer side fits.

    Args:
        height, width: Size of the scene, pixels.
        side: Longest side of the map, pixels.

    Attributes:
        shape: Height and width of the map.
        scale: Map pixels per scene pixel, at most 1.
    """

    def __init__(self, height: int, width: int, side: int) -> None:
        self.scale = min(1.0, side / max(height, width))
        self.shape = (max(1, round(height * self.scale)), max(1, round(width * self.scale)))
        self._scene = (height, width)
        # Nine pixels for one are enough, where more would become one: most of the time goes into shrinking.
        step = max(1, int(1 / (3 * self.scale)))
        self._some = slice(step // 2, None, step)

    def image(self, tiles: TileStack, windows: np.ndarray) -> np.ndarray:
        """The scene: (h, w, 4) uint8, alpha 0 where no tile has data."""
        canvas = np.zeros((*self.shape, 4), np.uint8)
        for start, batch in tiles.batches(("image", "valid"), BATCH):
            for offset, (image, valid) in enumerate(zip(batch["image"], batch["valid"], strict=True)):
                some = self._some
                rgba = np.dstack([*image[:, some, some], valid[some, some] * 255])
                place, part = self._shrunk(rgba, windows[start + offset], some)
                there = part[..., 3] > 127
                canvas[place][there] = part[there]
        canvas[..., 3] = np.where(canvas[..., 3] > 127, 255, 0)
        return canvas

    def mean(
        self, stack: TileStack, name: str, windows: np.ndarray, wanted: np.ndarray, counted: np.ndarray | None = None
    ) -> np.ndarray:
        """Mean over the counted tiles that cover a pixel; unwanted tiles count as 0, no data (255 of a mask) as 0 too.

        Args:
            stack: CAMs or masks.
            name: `cam` (0..255) or `mask` (0, 1, 255).
            windows: (n, 4) of all tiles.
            wanted: (n,) bool, the tiles that are not empty; the others are not read.
            counted: (n,) bool, the tiles of the mean, with all that are wanted; by default all tiles.

        Returns:
            (h, w) float32, 0..1; 0 where no counted tile lies.
        """
        total, cover = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.float32)
        for window in windows if counted is None else windows[counted]:
            cover[self._pixel_window(window)] += 1
        for index, values in _wanted_tiles(stack, name, wanted):
            some = values[self._some, self._some]
            part = (some == 1).astype(np.float32) if name == "mask" else some.astype(np.float32) / 255
            place, part = self._shrunk(part, windows[index], self._some)
            total[place] += part
        return total / np.maximum(cover, 1)

    def cover(self, windows: np.ndarray) -> np.ndarray:
        """Where some windows lie, (h, w) bool."""
        covered = np.zeros(self.shape, bool)
        for window in windows:
            covered[self._pixel_window(window)] = True
        return covered

    def _pixel_window(self, window: np.ndarray) -> tuple[slice, slice]:
        row, col, height, width = (int(v) for v in window)
        bottom, right = min(row + height, self._scene[0]), min(col + width, self._scene[1])
        edges = [round(v * self.scale) for v in (row, bottom, col, right)]
        rows = slice(min(edges[0], self.shape[0] - 1), max(edges[1], edges[0] + 1))
        return rows, slice(min(edges[2], self.shape[1] - 1), max(edges[3], edges[2] + 1))

    def fit(self, values: np.ndarray, window: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
        """Where a window lies in the map, and its values (height, width[, c]) at the size they have there."""
        return self._shrunk(values, window, slice(0, None, 1))

    def _shrunk(self, values: np.ndarray, window: np.ndarray, some: slice) -> tuple[tuple[slice, slice], np.ndarray]:
        """The same for values of which only `some` rows and columns are given."""
        row, col, height, width = (int(v) for v in window)
        rows, cols = (
            len(range(some.start, max(some.start + 1, known), some.step))
            for known in (min(height, self._scene[0] - row), min(width, self._scene[1] - col))
        )
        inside = values[:rows, :cols]
        place = self._pixel_window(window)
        size = (place[1].stop - place[1].start, place[0].stop - place[0].start)
        return place, inside if size == inside.shape[1::-1] else cv2.resize(inside, size, interpolation=cv2.INTER_AREA)


def _wanted_tiles(stack: TileStack, name: str, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The tiles that are wanted, in slices: many tiles in one go cost a third of one at a time."""
    for start in range(0, len(wanted), BATCH):
        chosen = np.flatnonzero(wanted[start : start + BATCH]) + start
        if len(chosen):
            values = stack.read(name, int(chosen[0]), int(chosen[-1]) + 1)
            yield from ((int(index), values[index - chosen[0]]) for index in chosen)


def outlines(mask: np.ndarray, tolerance: float = 0.5) -> str:
    """The borders of a mask as an SVG path with holes (fill rule evenodd), to be drawn with `OUTLINE_TRANSFORM`.

    Args:
        mask: (h, w) bool.
        tolerance: Pixels by which the borders may be simplified; smaller regions than that vanish.

    Returns:
        Path data in whole half-pixels; empty for an empty mask.
    """
    # Contours run through pixel centres; on twice as fine a grid they come within a quarter pixel of the edges.
    fine = cv2.resize(mask.astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    pieces = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, 2 * tolerance, closed=True)
        if len(points) >= 3:
            pieces.append(f"M{' '.join(map(str, points.ravel().tolist()))}Z")
    return "".join(pieces)
