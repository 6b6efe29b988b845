"""Checks of a training without reference masks: labels, localizer, pseudo-masks, heat maps; and their warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from apsam.errors import InputError
from apsam.files import read_json
from apsam.metrics.checks import FEW_TILES, WEAK_ACCURACY, WEAK_AUC
from apsam.stack import TileStack
from apsam.tiles.label_errors import label_error_warnings, read_label_errors
from apsam.tiles.parts import TRAIN

# Tag of a heat map: mean correlation of its networks (`apsam.heatmaps.logits`, which imports torch).
AGREEMENT = "APSAM_AGREEMENT"
# Below this correlation, networks have less than half of their variance in common.
WEAK_AGREEMENT = 0.7

# Share of a tile's side: the middle is farther from the border than this, the border zone is nearer.
MIDDLE, BORDER = 1 / 4, 1 / 8
# Pseudo-masks have a trend across the tile if landslide is so many times as frequent in the middle as at the border.
TREND = 2.0
# With less landslide in the middle, the ratio is one of chance.
LEAST_MIDDLE = 0.01


@dataclass(frozen=True)
class TileTrend:
    """Frequency of landslide in pseudo-masks in the middle and at the border of positive training tiles.

    Attributes:
        scene: Its name.
        tiles: Positive training tiles.
        middle, border: Share of landslide in the middle quarter of a tile's area, and within an eighth of its side from
            the border.
        empty: Whether there is no landslide anywhere in these tiles.
    """

    scene: str
    tiles: int
    middle: float
    border: float
    empty: bool = False


def count_training(tiles: Sequence[Path]) -> dict[str, int]:
    """Count positive and negative training tiles of some tile stacks."""
    counts = {"positive": 0, "negative": 0}
    for path in tiles:
        with TileStack(path) as stack:
            label, part = stack.read("label"), stack.read("part")
        for value, name in ((1, "positive"), (0, "negative")):
            counts[name] += int(((label == value) & (part == TRAIN)).sum())
    return counts


def training_warnings(counts: Mapping[str, int]) -> list[str]:
    """Warn of too few training tiles of one kind."""
    if min(counts.values()) >= FEW_TILES:
        return []
    return [
        f"only {counts['positive']} positive and {counts['negative']} negative tiles train, fewer than {FEW_TILES} of "
        f"a kind: results differ widely from seed to seed; label more tiles (apsam suggest names them)"
    ]


def localizer_warnings(figures: Mapping[str, Any]) -> list[str]:
    """Warn of a localizer that hardly classifies held-out tiles correctly (`apsam.localizer.evaluate`)."""
    balanced, auc = figures.get("balanced_accuracy"), figures.get("auc")
    accuracy, majority = figures.get("accuracy"), figures.get("majority")
    if balanced is None or auc is None or accuracy is None or majority is None:
        return []
    if balanced < WEAK_ACCURACY or auc < WEAK_AUC:
        return [
            f"the localizer hardly distinguishes held-out tiles with landslides from those without (balanced accuracy "
            f"{balanced:.2f}, AUC {auc:.2f}; chance is 0.50; accuracy {accuracy:.2f}, of the more frequent label alone "
            f"{majority:.2f}): CAMs, prompts and masks are unreliable"
        ]
    if accuracy <= majority:
        return [
            f"the localizer is correct in {accuracy:.0%} of the held-out tiles, and the more frequent label alone is "
            f"in {majority:.0%} (balanced accuracy {balanced:.2f}, AUC {auc:.2f})"
        ]
    return []


def tile_trend(tiles: Path, masks: Path) -> TileTrend | None:
    """Measure the distribution of pseudo-masks over the tiles of a raster scene; None without positive training tiles.

    Args:
        tiles: Tile stack of the scene.
        masks: Pseudo-masks of the same tiles.

    Raises:
        InputError: Tiles and masks differ.
    """
    with TileStack(tiles) as stack:
        name, chosen = stack.attributes["scene"], (stack.read("label") == 1) & (stack.read("part") == TRAIN)
    if not chosen.any():
        return None
    with TileStack(masks) as stack:
        if len(stack) != len(chosen):
            raise InputError(f"{masks}: contains {len(stack)} tiles, {tiles} {len(chosen)}; make it again")
        landslide, known = (np.zeros(2) for _ in range(2))
        empty = True
        for start, batch in stack.batches(("mask",), 256):
            some = batch["mask"][chosen[start : start + len(batch["mask"])]]
            empty &= not (some == 1).any()
            for index, place in enumerate(_middle_and_border(batch["mask"].shape[1])):
                landslide[index] += np.count_nonzero(some[:, place] == 1)
                known[index] += np.count_nonzero(some[:, place] != 255)
    middle, border = (landslide / np.maximum(known, 1)).round(4).tolist()
    return TileTrend(name, int(chosen.sum()), middle, border, empty)


def _middle_and_border(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two (side, side) bool masks."""
    distance = np.minimum(np.arange(side), np.arange(side)[::-1])
    nearest = np.minimum.outer(distance, distance)
    return nearest >= round(MIDDLE * side), nearest < round(BORDER * side)


def trend_warnings(trend: TileTrend) -> list[str]:
    """Warn of pseudo-masks that are empty, or in the middle of their tiles, where not all landslides of a scene are."""
    if trend.empty:
        return [_empty_masks(trend.scene, f"the pseudo-masks of its {trend.tiles} positive training tiles show")]
    if trend.tiles < FEW_TILES or trend.middle < LEAST_MIDDLE or trend.middle <= TREND * trend.border:
        return []
    return [
        f"{trend.scene}: pseudo-masks cover {trend.middle:.0%} of the middle of positive tiles and {trend.border:.0%} "
        f"at their border: they show where tiles lie as much as where landslides do; train with config/real_scenes.yaml"
    ]


def scene_mask_warnings(tiles: Path, mask: Path) -> list[str]:
    """Warn of a scene-wide pseudo-mask without any landslide in a scene with positive training tiles."""
    with TileStack(tiles) as stack:
        name, positive = stack.attributes["scene"], (stack.read("label") == 1) & (stack.read("part") == TRAIN)
    if not positive.any():
        return []
    with rasterio.open(mask) as raster:
        if any((raster.read(1, window=window) == 1).any() for _, window in raster.block_windows(1)):
            return []
    return [_empty_masks(name, f"its scene-wide pseudo-mask, of {positive.sum()} positive training tiles, shows")]


def _empty_masks(scene: str, whose: str) -> str:
    return (
        f"{scene}: {whose} no landslide, so the ResUNet learns to find none there: look at the heat maps and prompts, "
        f"and check prompts.threshold"
    )


def agreement_of(heat_map: Path) -> float | None:
    """Return the mean correlation of the networks of a heat map; None if it has one network, or no record."""
    with rasterio.open(heat_map) as raster:
        value = raster.tags().get(AGREEMENT)
    return None if value is None else float(value)


def agreement_warnings(scene: str, agreement: float | None) -> list[str]:
    """Warn of networks that differ only in their seed and do not agree."""
    if agreement is None or agreement >= WEAK_AGREEMENT:
        return []
    return [
        f"{scene}: the networks of the heat map, which differ in their seed alone, correlate with {agreement:.2f}: "
        f"they learned little in common; label more tiles, or raise heatmaps.networks"
    ]


def calibration_warnings(calibration: Mapping[str, Any]) -> list[str]:
    """Warn of heat maps that do not even agree with the labels that their networks learned (`apsam.heatmaps`)."""
    balanced = calibration.get("balanced_accuracy")
    if balanced is None or balanced >= WEAK_ACCURACY:
        return []
    return [
        f"the heat maps hardly distinguish training tiles with landslides from those without, though their networks "
        f"learned these labels (balanced accuracy {balanced:.2f}; chance is 0.50): pseudo-masks and maps are "
        f"unreliable; check the labels, or raise heatmaps.epochs"
    ]


def check_training(
    tiles: Sequence[Path] = (),
    localizer: Path | None = None,
    masks: Sequence[tuple[Path, Path]] = (),
    heat_maps: Sequence[Path] = (),
    label_errors: Path | None = None,
    calibration: Path | None = None,
    scene_masks: Sequence[tuple[Path, Path]] = (),
) -> dict[str, Any]:
    """Check a training: JSON values of each check, and "warnings".

    Args:
        tiles: Tile stacks of all training scenes.
        localizer: Metrics of the localizer on held-out tiles.
        masks: Of raster scenes, tile stacks and pseudo-masks.
        heat_maps: Heat maps of training scenes.
        label_errors: Tiles whose label was left out (`apsam.tiles.label_errors`).
        calibration: Threshold of the heat maps, with its agreement with the labels (`apsam.heatmaps.calibrate`).
        scene_masks: Tile stacks of scenes with scene-wide pseudo-masks, and these masks.

    Raises:
        InputError: The files are of different scenes.
    """
    counts = count_training(tiles)
    figures = read_json(localizer) if localizer is not None else {}
    trends = [trend for pair in masks if (trend := tile_trend(*pair)) is not None]
    errors = read_label_errors(label_errors) if label_errors is not None else None
    agreement = {path.stem: agreement_of(path) for path in heat_maps}
    calibrated = read_json(calibration) if calibration is not None else {}
    warnings = [
        *(training_warnings(counts) if tiles else []),
        *label_error_warnings(errors),
        *localizer_warnings(figures),
        *(text for trend in trends for text in trend_warnings(trend)),
        *(text for pair in scene_masks for text in scene_mask_warnings(*pair)),
        *(text for scene, value in agreement.items() for text in agreement_warnings(scene, value)),
        *calibration_warnings(calibrated),
    ]
    return {
        "training": counts,
        "label_errors": errors.tiles if errors is not None else {},
        "localizer": figures,
        "trends": [asdict(trend) for trend in trends],
        "agreement": agreement,
        "calibration": {key: calibrated[key] for key in ("threshold", "balanced_accuracy") if key in calibrated},
        "warnings": warnings,
    }
