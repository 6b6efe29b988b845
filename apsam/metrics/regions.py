"""Connected regions of masks that are read a few rows at a time."""

from __future__ import annotations

import cv2
import numpy as np


class Regions:
    """Regions (8 neighbours) of a mask that is added in bands of rows, from the top down.

    Pixels have a provisional number at once; numbers of one region are joined (union-find) as bands are added.
    One row, and two numbers per provisional region, are in memory.
    """

    def __init__(self) -> None:
        self._parent = [0]
        self._areas = [0]
        self._last: np.ndarray | None = None

    def add(self, mask: np.ndarray) -> np.ndarray:
        """Number the regions of a band. (rows, width) bool -> int64 provisional numbers, 0 outside."""
        first = len(self._parent)
        count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        numbers = np.where(numbers > 0, numbers.astype(np.int64) + first - 1, 0)
        self._parent += range(first, first + count - 1)
        self._areas += np.bincount(numbers[numbers > 0] - first, minlength=count - 1).tolist()
        if self._last is not None:
            self._merge(self._last, numbers[0])
        self._last = numbers[-1]
        return numbers

    def roots(self) -> np.ndarray:
        """Return (n,) int64: provisional number -> number of its region, the lowest of its provisional ones."""
        return np.array([self._find(number) for number in range(len(self._parent))], np.int64)

    def areas(self) -> dict[int, int]:
        """Return region -> pixels."""
        totals: dict[int, int] = {}
        for number, area in enumerate(self._areas[1:], 1):
            root = self._find(number)
            totals[root] = totals.get(root, 0) + area
        return totals

    def _merge(self, above: np.ndarray, below: np.ndarray) -> None:
        for shift in (-1, 0, 1):
            shifted = np.zeros_like(above)
            if shift < 0:
                shifted[:-1] = above[1:]
            elif shift > 0:
                shifted[1:] = above[:-1]
            else:
                shifted = above
            touching = (shifted > 0) & (below > 0)
            for pair in set(zip(shifted[touching].tolist(), below[touching].tolist(), strict=True)):
                one, other = sorted(map(self._find, pair))
                self._parent[other] = one

    def _find(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number


class Overlaps:
    """Count the pixels that regions of one mask share with regions of another, by provisional numbers."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, int], int] = {}

    def add(self, one: np.ndarray, other: np.ndarray) -> None:
        """Count a band of two masks, numbered by `Regions.add`."""
        both = (one > 0) & (other > 0)
        # One number for each pair: sorting these is 20 times as fast as sorting rows.
        step = int(other.max(initial=0)) + 1
        pairs, counts = np.unique(one[both] * step + other[both], return_counts=True)
        for a, b, count in zip(*(half.tolist() for half in np.divmod(pairs, step)), counts.tolist(), strict=True):
            self._pairs[a, b] = self._pairs.get((a, b), 0) + count

    def shared(self, regions: Regions, axis: int) -> dict[int, int]:
        """Return region of the first (axis 0) or second mask -> pixels shared with any region of the other."""
        roots = regions.roots()
        totals: dict[int, int] = {}
        for pair, count in self._pairs.items():
            root = int(roots[pair[axis]])
            totals[root] = totals.get(root, 0) + count
        return totals
