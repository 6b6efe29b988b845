"""Tiles labelled negative by mistake are found by cross-validation, and their labels are not used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ground_scenes import make_scene, read_grid, relabel, write_grid

from apsam.commands.heatmaps import heatmap_fold, heatmap_label_errors
from apsam.errors import ConfigError, InputError
from apsam.ground.labels import make_ground_labels
from apsam.heatmaps.calibrate import calibrate
from apsam.heatmaps.folds import TOP_SHARE, tile_score, tiles_of_fold
from apsam.heatmaps.logits import NO_DATA, to_steps
from apsam.heatmaps.settings import HeatMapSettings
from apsam.metrics.training_checks import check_training
from apsam.stack import TileStack
from apsam.tiles.label_errors import LabelErrors, choose_label_errors, read_label_errors, write_label_errors
from apsam.tiles.labels import tile_name
from apsam.tiles.parts import TEST, TRAIN


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def names_and_labels(tiles: Path) -> dict[str, int]:
    """Name -> label of the training tiles."""
    with TileStack(tiles) as stack:
        windows, labels, parts = (stack.read(name) for name in ("window", "label", "part"))
    rows = zip(windows.tolist(), labels.tolist(), parts.tolist(), strict=True)
    return {tile_name(*window[:2]): label for window, label, part in rows if part == TRAIN}


def test_negative_tiles_that_score_like_positive_ones_are_label_errors() -> None:
    names = [("west", "a"), ("west", "b"), ("east", "c"), ("east", "d"), ("east", "e")]
    found = choose_label_errors(names, np.array([3.0, 2.1, 2.0, 1.9, 1.0]), np.array([1, 0, 0, 0, 1]))
    assert found == LabelErrors(2.0, 3, {"east": ["c"], "west": ["b"]})
    assert found.count == 2


def test_labels_of_one_kind_have_no_errors() -> None:
    names = [("west", "a"), ("west", "b")]
    assert choose_label_errors(names, np.array([1.0, 2.0]), np.array([0, 0])) == LabelErrors(None, 2, {})
    assert choose_label_errors(names, np.array([1.0, np.nan]), np.array([1, 0])).tiles == {}, "no data says nothing"
    assert choose_label_errors([], np.array([]), np.array([])) == LabelErrors(None, 0, {})


def test_every_training_tile_is_in_one_fold(tmp_path: Path) -> None:
    _, west, _ = make_scene(tmp_path, name="west", split="blocks")
    _, east, _ = make_scene(tmp_path, 400, 300, name="east")
    folds = [tiles_of_fold([*west, *east], fold, 3) for fold in range(3)]
    found = [(scene, name) for fold in folds for scene, names in fold.items() for name in names]
    expected = {
        *(("west", name) for name in names_and_labels(west[0])),
        *(("east", name) for name in names_and_labels(east[0])),
    }
    assert len(found) == len(set(found)) and set(found) == expected
    sizes = [sum(map(len, fold.values())) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert folds == [tiles_of_fold([*west, *east], fold, 3) for fold in range(3)]
    with TileStack(west[0]) as stack:
        assert (stack.read("part") == TEST).any(), "else nothing would be left out"


def test_the_score_is_what_a_twentieth_of_the_tile_exceeds() -> None:
    logits = np.full((20, 20), -1.0)
    logits[0, :15] = 3.0
    logits[0, 15:] = logits[1, :10] = 2.0
    assert tile_score(to_steps(logits)) == pytest.approx(2.0) and TOP_SHARE == 0.05
    assert np.isnan(tile_score(np.full((4, 4), NO_DATA)))


def test_labels_that_are_left_out_say_nothing(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path)
    negative = [name for name, label in names_and_labels(tiles[0]).items() if label == 0]
    full, without = tmp_path / "full.tif", tmp_path / "without.tif"
    make_ground_labels(tiles, full)
    make_ground_labels(tiles, without, {"valley": negative, "other": ["r0_c0"]})
    assert (read_grid(full) == 0).any() and not (read_grid(without) == 0).any()
    make_ground_labels(tiles, without, {"other": negative})
    assert np.array_equal(read_grid(full), read_grid(without)), "names count in their own scene"
    logits = write_grid(tmp_path / "logits.tif", tiles[0], to_steps(np.where(mask == 1, 4.0, -4.0)), NO_DATA)
    every, some = calibrate(tiles, [logits], 0.005), calibrate(tiles, [logits], 0.005, {"valley": negative[:2]})
    assert (every.positive, every.negative) == (some.positive, some.negative + 2)


def test_a_wrong_label_is_found_and_the_others_are_kept(tmp_path: Path) -> None:
    """One of the tiles on a landslide is labelled negative; networks trained without its label see the landslide."""
    image, tiles, _ = make_scene(tmp_path, 560, 400)
    with TileStack(tiles[0]) as stack:
        landslide = int(np.flatnonzero((stack.read("window")[:, :2] == (38, 0)).all(axis=1))[0])
        assert stack.read("label")[landslide] == 1
    relabel(tiles[0], label={landslide: 0})
    settings = HeatMapSettings(folds=2, epochs=8)
    networks = [tmp_path / f"{fold}.safetensors" for fold in range(2)]
    for fold, network in enumerate(networks):
        heatmap_fold([image, *tiles], network, tmp_path / f"{fold}.json", fold, settings, device="cpu", threads=1)
    output = tmp_path / "errors.json"
    heatmap_label_errors(networks, [image], tiles, output, settings, device="cpu", threads=1)
    assert read_label_errors(output).tiles == {"valley": ["r38_c0"]}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_labels_left_out_are_a_warning(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    write_label_errors(LabelErrors(1.5, 20, {"west": ["r0_c0", "r0_c154"]}), tmp_path / "errors.json")
    found = check_training(tiles, label_errors=tmp_path / "errors.json")
    assert found["label_errors"] == {"west": ["r0_c0", "r0_c154"]}
    (text,) = [one for one in found["warnings"] if "left out" in one]
    assert text.startswith("2 of 20 negative training tiles") and "west: r0_c0, r0_c154" in text
    write_label_errors(LabelErrors(1.5, 20, {}), tmp_path / "errors.json")
    assert not [
        one for one in check_training(tiles, label_errors=tmp_path / "errors.json")["warnings"] if "left" in one
    ]


def test_other_files_are_refused_as_label_errors(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"schema": 1}')
    with pytest.raises(InputError, match="make it again"):
        read_label_errors(tmp_path / "a.json")


def test_one_fold_is_no_cross_validation() -> None:
    from apsam.config import parse_config

    with pytest.raises(ConfigError, match=r"'heatmaps.folds': a cross-validation has two folds or more"):
        parse_config({"heatmaps": {"folds": 1}})
