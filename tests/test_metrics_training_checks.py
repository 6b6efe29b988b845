"""Checks of a training by labels alone, trivial baselines of maps, and the warnings of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ground_scenes import make_scene, write_grid

from apsam.commands.metrics import metrics_checks
from apsam.errors import InputError
from apsam.files import read_json, write_json
from apsam.heatmaps.calibrate import calibrate, write_decision
from apsam.heatmaps.logits import NO_DATA, Correlation, to_steps
from apsam.metrics.baselines import baseline_warnings, box_rows, not_better
from apsam.metrics.centred_box import centred_box
from apsam.metrics.training_checks import (
    AGREEMENT,
    TileTrend,
    agreement_of,
    agreement_warnings,
    calibration_warnings,
    check_training,
    count_training,
    localizer_warnings,
    tile_trend,
    training_warnings,
    trend_warnings,
)
from apsam.stack import TileStack, TileStackWriter

GOOD = {"accuracy": 0.9, "majority": 0.6, "balanced_accuracy": 0.88, "auc": 0.95}


def write_masks(path: Path, tiles: Path, mask: np.ndarray) -> Path:
    """The same pseudo-mask in every tile."""
    with TileStack(tiles) as stack:
        count = len(stack)
    with TileStackWriter(path, {"scene": "valley"}, {"mask": ((64, 64), "uint8")}) as writer:
        writer.append(mask=np.stack([mask] * count))
    return path


def test_pseudo_masks_in_the_middle_of_tiles_are_noticed(tmp_path: Path) -> None:
    _, [tiles], _ = make_scene(tmp_path)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:32] = 1
    mask[:8, :] = 255
    mask[56:, :32] = 1
    found = tile_trend(tiles, write_masks(tmp_path / "m.zarr.zip", tiles, mask))
    counts = count_training([tiles])
    assert found.tiles == counts["positive"] > 0
    # Of the border, 8 of 64 rows are not known; 8 * 32 of the 28 * 64 - 8 * 64 others are landslide.
    assert (found.middle, found.border) == (0.5, pytest.approx(256 / (64**2 - 48**2 - 512), abs=1e-4))
    assert trend_warnings(TileTrend("valley", 30, 0.31, 0.12))[0].startswith("valley: pseudo-masks cover 31%")
    assert not trend_warnings(TileTrend("valley", 30, 0.31, 0.2)) + trend_warnings(TileTrend("valley", 9, 0.3, 0.1))
    assert not trend_warnings(TileTrend("valley", 30, 0.004, 0)), "a few pixels are no trend"
    assert trend_warnings(TileTrend("valley", 30, 0.05, 0))


def test_pseudo_masks_without_landslide_are_noticed(tmp_path: Path) -> None:
    _, [tiles], _ = make_scene(tmp_path)
    mask = np.zeros((64, 64), np.uint8)
    found = tile_trend(tiles, write_masks(tmp_path / "none.zarr.zip", tiles, mask))
    assert found.empty and "positive training tiles show no landslide" in trend_warnings(found)[0]
    mask[10, 10] = 1  # neither in the middle nor at the border
    found = tile_trend(tiles, write_masks(tmp_path / "one.zarr.zip", tiles, mask))
    assert not found.empty and trend_warnings(found) == []


def test_scene_wide_masks_without_landslide_are_noticed(tmp_path: Path) -> None:
    _, [tiles], mask = make_scene(tmp_path)
    empty = write_grid(tmp_path / "empty.tif", tiles, np.zeros(mask.shape), 255)
    full = write_grid(tmp_path / "full.tif", tiles, mask, 255)
    for masks, expected in (([empty, full], 1), ([full, full], 0)):
        metrics_checks(tmp_path / "checks.json", training=[tiles, tiles], scene_masks=masks)
        found = [text for text in read_json(tmp_path / "checks.json")["warnings"] if "no landslide" in text]
        assert len(found) == expected
        assert all(text.startswith("valley: its scene-wide pseudo-mask, of ") for text in found)
    with pytest.raises(InputError, match="1 scene-wide masks for 2 training scenes"):
        metrics_checks(tmp_path / "checks.json", training=[tiles, tiles], scene_masks=[empty])


def test_heat_maps_that_do_not_agree_with_their_own_labels_are_noticed(tmp_path: Path) -> None:
    _, [tiles], mask = make_scene(tmp_path, 300, 300)
    for name, odds in (("flat", np.zeros(mask.shape)), ("good", np.where(mask == 1, 4.0, -4.0))):
        heat = write_grid(tmp_path / f"{name}.tif", tiles, to_steps(odds), NO_DATA)
        write_decision(calibrate([tiles], [heat], 0.005), tmp_path / f"{name}.json", {})
    metrics_checks(tmp_path / "checks.json", calibration=tmp_path / "flat.json")
    found = read_json(tmp_path / "checks.json")
    assert found["calibration"] == {"threshold": -0.5, "balanced_accuracy": 0.5}, "the middle of all thresholds"
    [text] = found["warnings"]
    assert text.startswith("the heat maps hardly distinguish training tiles") and "balanced accuracy 0.50" in text
    assert check_training(calibration=tmp_path / "good.json")["warnings"] == []
    assert calibration_warnings({"balanced_accuracy": None}) == []


def test_warnings_of_localizer_labels_and_networks() -> None:
    assert localizer_warnings(GOOD) == [] == localizer_warnings({}) == localizer_warnings({**GOOD, "auc": None})
    assert "hardly distinguishes" in localizer_warnings({**GOOD, "auc": 0.6})[0]
    [text] = localizer_warnings({**GOOD, "accuracy": 0.6})
    assert "correct in 60%" in text and "alone is in 60%" in text and "balanced accuracy 0.88, AUC 0.95" in text
    assert training_warnings({"positive": 20, "negative": 50}) == []
    assert "only 20 positive and 3 negative tiles train" in training_warnings({"positive": 20, "negative": 3})[0]
    assert agreement_warnings("a", None) == agreement_warnings("a", 0.8) == []
    assert "correlate with 0.40" in agreement_warnings("a", 0.4)[0]


def test_agreement_is_the_mean_correlation() -> None:
    rng = np.random.default_rng(3)
    odds = rng.normal(size=(3, 40, 30))
    odds[1] += odds[0]
    odds[:, 5, 3:] = np.nan
    correlation = Correlation(3)
    for top in range(0, 40, 7):
        correlation.add(odds[:, top : top + 7])
    known = np.corrcoef(odds[:, np.isfinite(odds[0])])
    assert correlation.mean() == pytest.approx(known[np.triu_indices(3, 1)].mean())
    assert Correlation(1).mean() is None and Correlation(2).mean() is None


@pytest.mark.parametrize("value", [-11.5, -3.3, 0.1])
def test_a_network_with_a_constant_value_agrees_with_none(value: float) -> None:
    rng = np.random.default_rng(3)
    odds = np.stack([rng.normal(size=(40, 30))] * 3).astype(np.float32)
    odds[2] = value + 1e-6 * rng.normal(size=(40, 30))
    correlation = Correlation(3)
    correlation.add(odds)
    assert correlation.mean() == pytest.approx(1 / 3, abs=1e-6), "of three pairs, one agrees"
    assert agreement_warnings("a", correlation.mean())


def test_trivial_baselines() -> None:
    row = {"source": "apsam", "part": "test", "f1": 0.4}
    others = [{"source": "everything", "part": "test", "f1": 0.38}, {"source": "nothing", "part": "test", "f1": 0}]
    assert not_better(row, others) is None and baseline_warnings([row], others) == []
    box = {"source": "centred_box", "part": "test", "f1": 0.4}
    assert not_better(row, [*others, box]) is box
    [text] = baseline_warnings([row, box], others)
    assert "learned from APSAM masks have F1 0.400" in text and "a box in the middle of every tile (0.400)" in text
    assert not_better({**row, "scene": "west"}, others) is None and not_better({**row, "f1": None}, others) is None


def test_maps_of_training_scenes_are_compared_with_baselines_if_no_others_are_measured() -> None:
    row = {"source": "apsam", "part": "train", "f1": 0.05}
    others = [{"source": "everything", "part": "train", "f1": 0.3}]
    [text] = baseline_warnings([row], others)
    assert "F1 0.050 on the ground of their training" in text and "everything landslide (0.300)" in text
    held_out = {**row, "part": "test", "f1": 0.4}
    assert baseline_warnings([row, held_out], [*others, {**others[0], "part": "test"}]) == []


def test_boxes_in_bands_are_those_of_the_whole() -> None:
    windows = np.array([(0, 0, 64, 64), (30, 40, 64, 64)])
    whole = np.zeros((100, 100), bool)
    for row, col, _, _ in windows.tolist():
        whole[row : row + 64, col : col + 64][:, : 100 - col] |= centred_box(64, 64)[:, : 100 - col] == 1
    bands = [box_rows(windows, top, 10, 100) for top in range(0, 100, 10)]
    assert np.array_equal(np.concatenate(bands), whole)


def test_the_command_puts_all_warnings_together(tmp_path: Path) -> None:
    _, [tiles], _ = make_scene(tmp_path)
    mask = np.zeros((64, 64), np.uint8)
    mask[24:40, 24:40] = 1
    masks = write_masks(tmp_path / "m.zarr.zip", tiles, mask)
    write_json(tmp_path / "localizer.json", {**GOOD, "auc": 0.5})
    heat = write_grid(tmp_path / "valley.tif.heat.tif", tiles, np.zeros((300, 200), np.uint8))
    import rasterio

    with rasterio.open(heat, "r+") as raster:
        raster.update_tags(**{AGREEMENT: "0.3"})
    assert agreement_of(heat) == 0.3
    metrics_checks(
        tmp_path / "checks.json", training=[tiles], localizer=tmp_path / "localizer.json", masked=[tiles],
        pseudo_masks=[masks], heat_maps=[heat],
    )  # fmt: skip
    found = read_json(tmp_path / "checks.json")
    assert found["rows"] == [] and found["localizer"]["auc"] == 0.5 and found["trends"][0]["middle"] == 0.25
    words = ("tiles train", "the localizer hardly", "correlate with 0.30")
    assert [any(word in text for text in found["warnings"]) for word in words] == [True] * 3
