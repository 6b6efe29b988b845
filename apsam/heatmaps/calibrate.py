"""Find the threshold at which a heat map agrees best with image-level labels. No pixel label is read.

Networks trained with "every pixel of a positive tile is landslide" predict too much landslide at a probability of 0.5.
The threshold is calibrated on the labels of tiles: it maximises the balanced accuracy of "the map has a landslide
in the tile", the mean of both labels' accuracies. Where labels come from points with sizes, the area of the landslides
is known, and says more (`apsam.heatmaps.area`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from apsam.errors import InputError
from apsam.files import read_record, write_json
from apsam.ground.raster import Grid, GridReader
from apsam.heatmaps.area import threshold_by_area
from apsam.heatmaps.logits import DTYPE, NO_DATA, STEP
from apsam.progress import track
from apsam.stack import TileStack
from apsam.tiles.labels import tile_name
from apsam.tiles.parts import TRAIN

SCHEMA = 1
# Thresholds tried, log-odds: probabilities of 0.0003 to 0.999. Where few tiles are positive, all of a map may be low.
CANDIDATES = np.round(np.arange(-8, 7.01, 0.25), 2)
# Thresholds whose agreement is this close to the best count as equal; the middle one is selected.
TIE = 0.003


@dataclass(frozen=True)
class Decision:
    """A calibrated threshold.

    Attributes:
        threshold: Minimum log-odds of a landslide pixel.
        balanced_accuracy: Of "the map has a landslide in the tile" at this threshold, over the training tiles; None if
            all have the same label.
        positive, negative: Number of training tiles of each label.
        curve: (threshold, balanced accuracy) of every candidate; empty if there is no such accuracy.
        chosen_by: `labels` of tiles, or the `area` of landslides with known sizes.
    """

    threshold: float
    balanced_accuracy: float | None
    positive: int
    negative: int
    curve: list[tuple[float, float]]
    chosen_by: Literal["labels", "area"] = "labels"


def calibrate(
    tiles: Sequence[Path],
    logits: Sequence[Path],
    present_share: float,
    left_out: Mapping[str, Collection[str]] | None = None,
    labels_of_ground: Sequence[Path] = (),
) -> Decision:
    """Find the threshold at which the heat maps of scenes agree best with the labels of their training tiles.

    If a label map has probabilities, the threshold is that of `apsam.heatmaps.area` instead, which needs no label.

    Args:
        tiles: Tile stacks.
        logits: Their heat maps (`apsam.heatmaps.logits`), in the same order.
        present_share: Share of a tile's known pixels above which a map shows a landslide there.
        left_out: Scene -> names of tiles whose label is not used.
        labels_of_ground: Their label maps, in the same order; none: only labels of tiles are used.

    Raises:
        InputError: There is no positive or no negative training tile, and no label map has probabilities.
    """
    by_area = threshold_by_area(tiles, logits, labels_of_ground) if labels_of_ground else None
    shares, labels = [], []
    for path, heat in zip(tiles, logits, strict=True):
        with TileStack(path) as stack, GridReader(heat, Grid.of_tiles(path), DTYPE) as raster:
            windows, label, part = (stack.read(name) for name in ("window", "label", "part"))
            unused = frozenset((left_out or {}).get(stack.attributes["scene"], ()))
            for index in track(np.flatnonzero(part == TRAIN).tolist(), f"calibrate on {stack.attributes['scene']}"):
                window = windows[index].tolist()
                if tile_name(*window[:2]) in unused:
                    continue
                values = raster.read(*window)
                values = np.sort(values[values != NO_DATA])
                if len(values):
                    below = np.searchsorted(values, np.rint(CANDIDATES / STEP), side="left")
                    shares.append(1 - below / len(values))
                    labels.append(int(label[index]))
    positive = np.array(labels) == 1
    counts = int(positive.sum()), int((~positive).sum())
    if not all(counts):
        if by_area is not None:
            return Decision(by_area, None, *counts, [], "area")
        raise InputError(
            f"{', '.join(map(str, tiles))}: {counts[0]} positive and {counts[1]} negative training tiles; a threshold "
            f"needs both: check the labels and the split"
        )
    threshold, agreement = choose_threshold(np.array(shares), np.array(labels), present_share)
    curve = [(float(t), round(float(a), 4)) for t, a in zip(CANDIDATES, agreement, strict=True)]
    threshold = threshold if by_area is None else by_area
    own = float(np.interp(threshold, CANDIDATES, agreement))
    return Decision(threshold, round(own, 4), *counts, curve, "labels" if by_area is None else "area")


def choose_threshold(shares: np.ndarray, labels: np.ndarray, present_share: float) -> tuple[float, np.ndarray]:
    """Select one of `CANDIDATES` by balanced accuracy.

    Args:
        shares: (n, candidates) float, share of each tile that a map covers at each candidate.
        labels: (n,) {0, 1}, both of which occur.
        present_share: Share above which a map shows a landslide in a tile.

    Returns:
        The threshold (log-odds), and the balanced accuracy of every candidate.
    """
    positive = labels == 1
    present = shares > present_share
    agreement = (present[positive].mean(axis=0) + (~present[~positive]).mean(axis=0)) / 2
    equal = np.flatnonzero(agreement >= agreement.max() - TIE)
    return float(CANDIDATES[equal[len(equal) // 2]]), agreement


def write_decision(decision: Decision, output: Path, facts: dict[str, Any]) -> None:
    """Write a calibrated threshold as JSON, with `facts` on its data."""
    write_json(output, {"schema": SCHEMA, **asdict(decision), **facts})


def read_decision(path: Path) -> float:
    """Read the threshold (log-odds) from a file of `write_decision`.

    Raises:
        InputError: It is not such a file.
    """
    return float(read_record(path, SCHEMA, ["threshold"], "a calibrated threshold")["threshold"])
