"""Count pixels and tiles by source, part and scene, and make the rows of a metrics file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from apsam.metrics.counts import Counts

# Source, part, scene.
Key = tuple[str, str, str]


@dataclass
class Tally:
    """Pixel counts; for masks of tiles, also the IoU of every tile with landslide."""

    counts: Counts = field(default_factory=Counts)
    ious: list[float] = field(default_factory=list)
    tiles: int = 0

    def add_pixels(self, counts: Counts) -> None:
        """Add some pixels of a scene."""
        self.counts += counts

    def add_tile(self, guess: np.ndarray, reference: np.ndarray) -> None:
        """Add the masks of one tile, {0, 1, 255}."""
        self.add_counts(Counts.of(guess, reference))

    def add_counts(self, counts: Counts) -> None:
        """Add the counts of one tile."""
        self.counts += counts
        self.tiles += 1
        if counts.tp + counts.fn:
            self.ious.append(counts.iou or 0.0)

    def merge(self, other: Tally) -> None:
        """Add another tally."""
        self.counts += other.counts
        self.ious += other.ious
        self.tiles += other.tiles

    def figures(self) -> dict[str, Any]:
        """Return metrics over all pixels; for tiles also `mean_iou`, the mean IoU of those with landslide."""
        figures = self.counts.figures()
        if self.tiles:
            mean = float(np.mean(self.ious)) if self.ious else None
            figures |= {"tiles": self.tiles, "tiles_with_landslide": len(self.ious), "mean_iou": mean}
        return figures


def rows(tallies: Mapping[Key, Tally]) -> list[dict[str, Any]]:
    """Return a row for each source and part over all scenes, then one for each scene, with the key "scene"."""
    pooled: dict[tuple[str, str], Tally] = {}
    for (source, part, _), tally in tallies.items():
        pooled.setdefault((source, part), Tally()).merge(tally)
    over_all = [{"source": source, "part": part, **tally.figures()} for (source, part), tally in _sorted(pooled)]
    return over_all + [
        {"source": source, "part": part, "scene": scene, **tally.figures()}
        for (source, part, scene), tally in _sorted(tallies)
    ]


def _sorted(tallies: Mapping[Any, Tally]) -> list[tuple[Any, Tally]]:
    return sorted(tallies.items(), key=lambda item: item[0])
