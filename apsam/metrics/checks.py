"""Checks of maps without reference masks, and the warnings that follow from them.

A map can be useless without any error. These checks use image-level labels and the map: whether the
map has landslides in positive tiles, how many of its tiles are close to the threshold, and whether it repeats at
the stride of the training tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy.stats import rankdata

from apsam.errors import InputError
from apsam.maps.decision import decide, low_f1_warning, map_histogram
from apsam.metrics.period import Period, period_of
from apsam.stack import TileStack
from apsam.tiles.parts import TEST, TRAIN
from apsam.tiles.settings import TileSettings

# A map has a landslide in a tile if more than this share of it reaches the threshold (18 x 18 of 256 x 256 px).
PRESENT_SHARE = 0.005
# With fewer labelled tiles of one kind, the checks are not reliable.
FEW_TILES = 20
# A tile is near the threshold if its score differs from it by at most this (see `_margin`).
NEAR, MANY_NEAR = 0.1, 0.25
# Below this, a map hardly separates tiles with landslides from tiles without.
WEAK_ACCURACY, WEAK_AUC = 0.65, 0.7


@dataclass(frozen=True)
class MapCheck:
    """Agreement of image-level labels and a map. Shares are of the tiles of one part of a scene.

    Attributes:
        scene: Its name.
        part: `train` or `test`.
        positive, negative: Labelled tiles.
        balanced_accuracy: Of "the map has a landslide in the tile", mean over both labels; None if one is missing.
        accuracy, majority: Share of correctly classified tiles, and that of the more frequent label.
        auc: Probability that a positive tile scores higher than a negative one; None if a label is missing. The score
            of a tile is the probability that `PRESENT_SHARE` of its pixels exceed.
        near: Share of tiles whose score is within `margin` of the threshold.
        period: Whether the map repeats at the tile stride (`apsam.metrics.period`); None if it is too small to test.
        margin: 0.1, or less at thresholds near 0 and 1.
        expected_f1: Highest expected F1 of the map (`apsam.maps.decision`), if its threshold is that with this F1.
    """

    scene: str
    part: str
    positive: int
    negative: int
    balanced_accuracy: float | None
    accuracy: float
    majority: float
    auc: float | None
    near: float
    period: Period | None
    margin: float = NEAR
    expected_f1: float | None = None


def check_map(tiles: Path, probability: Path, threshold: float) -> list[MapCheck]:
    """Check the map of a raster scene against the labels of its tiles, part by part.

    Args:
        tiles: Tile stack of the scene.
        probability: Its map, a GeoTIFF of uint8 with a scale (`apsam.maps.cog`) on the scene's grid.
        threshold: Minimum probability of a landslide pixel.

    Raises:
        InputError: The map and the tiles are of different scenes.
    """
    with TileStack(tiles) as stack:
        windows, label, part = (stack.read(name) for name in ("window", "label", "part"))
        attributes = stack.attributes
    step = TileSettings(**attributes["made_by"]["tiles"]).stride
    with rasterio.open(probability) as raster:
        if raster.shape != (attributes["height"], attributes["width"]):
            raise InputError(f"{probability}: is not a map of the scene '{attributes['scene']}'; predict again")
        found = np.array([_tile_score(raster, window, threshold) for window in windows.tolist()]).reshape(-1, 2)
    period = period_of(probability, step)
    decision = decide(map_histogram(probability))
    decided = np.isclose(decision.threshold, threshold)
    checks = []
    for name, code in (("train", TRAIN), ("test", TEST)):
        chosen = (part == code) & np.isfinite(found[:, 0])
        if chosen.any():
            some = found[chosen, 0], found[chosen, 1], label[chosen] == 1
            check = _check(attributes["scene"], name, *some, threshold, period)
            checks.append(replace(check, expected_f1=round(decision.expected_f1, 4)) if decided else check)
    return checks


def _margin(threshold: float) -> float:
    """Return how near to the threshold a score is uncertain: at most half of the way to the ends of the scale."""
    return min(NEAR, threshold / 2, (1 - threshold) / 2)


def _tile_score(raster: rasterio.DatasetReader, window: Sequence[int], threshold: float) -> tuple[float, float]:
    """Return the probability that `PRESENT_SHARE` of a tile's pixels exceed, and the share above the threshold."""
    row, col, height, width = window
    place = Window(col, row, width, height).intersection(Window(0, 0, raster.width, raster.height))
    values = raster.read(1, window=place)
    values = values[values != raster.nodata] * raster.scales[0]
    if not len(values):
        return np.nan, np.nan
    return float(np.quantile(values, 1 - PRESENT_SHARE, method="lower")), float((values >= threshold - 1e-9).mean())


def _check(
    scene: str,
    part: str,
    scores: np.ndarray,
    shares: np.ndarray,
    positive: np.ndarray,
    threshold: float,
    period: Period | None,
) -> MapCheck:
    present = shares > PRESENT_SHARE
    count, both = int(positive.sum()), bool(positive.any() and not positive.all())
    balanced = (present[positive].mean() + (~present[~positive]).mean()) / 2 if both else None
    ranks = rankdata(scores)
    wins = ranks[positive].sum() - count * (count + 1) / 2
    return MapCheck(
        scene=scene,
        part=part,
        positive=count,
        negative=len(positive) - count,
        balanced_accuracy=None if balanced is None else round(float(balanced), 4),
        accuracy=round(float((present == positive).mean()), 4),
        majority=round(max(float(positive.mean()), 1 - float(positive.mean())), 4),
        auc=round(float(wins / (count * (len(positive) - count))), 4) if both else None,
        near=round(float((np.abs(scores - threshold) < _margin(threshold)).mean()), 4),
        period=period,
        margin=round(_margin(threshold), 4),
    )


def warnings_of(check: MapCheck) -> list[str]:
    """Return warnings about the map, most serious first; empty if there are none."""
    found, count = [], check.positive + check.negative
    weak = check.balanced_accuracy is not None and check.balanced_accuracy < WEAK_ACCURACY
    if check.balanced_accuracy is not None and check.auc is not None and (weak or check.auc < WEAK_AUC):
        found.append(
            f"{check.scene}: the map hardly distinguishes {check.part} tiles with landslides from tiles without "
            f"(balanced accuracy {check.balanced_accuracy:.2f}, AUC {check.auc:.2f}; chance is 0.50): do not use it"
        )
    elif check.balanced_accuracy is not None and check.accuracy <= check.majority:
        found.append(
            f"{check.scene}: the map is correct in {check.accuracy:.0%} of the {check.part} tiles, and the more "
            f"frequent label alone is in {check.majority:.0%}"
        )
    elif check.balanced_accuracy is None and count >= FEW_TILES and check.accuracy < WEAK_ACCURACY:
        found.append(
            f"{check.scene}: the map is correct in {check.accuracy:.0%} of the {count} {check.part} tiles, all of "
            f"which are labelled {'positive' if check.positive else 'negative'}: do not use it"
        )
    if check.expected_f1 is not None and (text := low_f1_warning(check.expected_f1)):
        found.append(f"{check.scene}: {text}")
    if check.period is not None and check.period.repeats:
        found.append(
            f"{check.scene}: the map repeats at the step of the tiles ({check.period.ratio:.1f} times the amplitude at "
            f"similar wavelengths): it shows where tiles lie, not where landslides do; if it was trained on masks of "
            f"tiles, set ground.masks: scene (config/real_scenes.yaml)"
        )
    if min(check.positive, check.negative) < FEW_TILES:
        found.append(
            f"{check.scene}: only {check.positive} positive and {check.negative} negative {check.part} tiles are "
            f"labelled, too few to tell how good the map is"
        )
    if check.near > MANY_NEAR:
        found.append(
            f"{check.scene}: in {check.near:.0%} of the {check.part} tiles the map is within {check.margin:g} of its "
            f"threshold: another seed would decide otherwise there"
        )
    return found


def threshold_of(mask: Path) -> float:
    """Return the threshold of the mask of a map.

    Raises:
        InputError: It is not the mask of a map.
    """
    with rasterio.open(mask) as raster:
        threshold = raster.tags().get("APSAM_THRESHOLD")
    if threshold is None:
        raise InputError(f"{mask}: does not say at which threshold it was made; predict again")
    return float(threshold)


def check_maps(tiles: Sequence[Path], probabilities: Sequence[Path], thresholds: Sequence[float]) -> dict[str, Any]:
    """Check the maps of several scenes, each at its threshold: {"thresholds", "rows", "warnings"}, JSON values."""
    checks = [
        check
        for path, probability, threshold in zip(tiles, probabilities, thresholds, strict=True)
        for check in check_map(path, probability, threshold)
    ]
    # What is said of a map as a whole is the same for both of its parts.
    warnings = list(dict.fromkeys(text for check in checks for text in warnings_of(check)))
    return {"thresholds": list(thresholds), "rows": [asdict(check) for check in checks], "warnings": warnings}
