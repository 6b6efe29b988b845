"""Tiles labelled negative by mistake are found by cross-validation, and their labels are not used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ground_scenes import SIZE, make_scene, read_grid, relabel, write_grid

from apsam.commands.ground import label_errors
from apsam.config import parse_config
from apsam.errors import ConfigError, InputError
from apsam.ground.labels import make_ground_labels
from apsam.heatmaps import cross_validation
from apsam.heatmaps.calibrate import calibrate
from apsam.heatmaps.cross_validation import CELL, Cells, groups_of, read_cells
from apsam.heatmaps.logits import NO_DATA, to_steps
from apsam.metrics.training_checks import check_training
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles import label_errors as rule
from apsam.tiles.label_errors import (
    LabelErrors,
    choose_label_errors,
    label_error_warnings,
    read_label_errors,
    write_label_errors,
)
from apsam.tiles.labels import tile_name
from apsam.tiles.parts import TEST, TRAIN
from apsam.tiles.settings import TileSettings
from benchmarks import label_errors as benchmark

pytestmark = pytest.mark.usefixtures("one_thread")


def names_and_labels(tiles: Path) -> dict[str, int]:
    """Name -> label of the training tiles."""
    with TileStack(tiles) as stack:
        windows, labels, parts = (stack.read(name) for name in ("window", "label", "part"))
    rows = zip(windows.tolist(), labels.tolist(), parts.tolist(), strict=True)
    return {tile_name(*window[:2]): label for window, label, part in rows if part == TRAIN}


def test_negative_tiles_that_score_like_positive_ones_are_label_errors() -> None:
    names, scores, labels = scored()
    found = choose_label_errors(names, scores, labels)
    assert found == LabelErrors(2.0, 10, {"east": ["c"], "west": ["b"]})
    assert found.count == 2


def test_with_few_tiles_of_a_kind_no_label_is_called_wrong() -> None:
    names, scores, labels = scored()
    unknown = np.where(np.arange(30) == 0, np.nan, scores)
    assert choose_label_errors(names, unknown, labels) == LabelErrors(None, 10, {}), "19 positive tiles"
    assert choose_label_errors(names[:-1], scores[:-1], labels[:-1]) == LabelErrors(None, 9, {}), "9 negative ones"


def scored() -> tuple[list[tuple[str, str]], np.ndarray, np.ndarray]:
    """20 positive tiles of the mean score 2, and ten negative ones: one above, one at 2, the others below."""
    names = [("west", f"p{number}") for number in range(20)]
    names += [("west", "b"), ("east", "c"), ("east", "d"), *(("east", f"n{number}") for number in range(7))]
    scores = np.array([3.0] * 10 + [1.0] * 10 + [2.1, 2.0, 1.9] + [-4.0] * 7)
    return names, scores, np.repeat([1, 0], [20, 10])


def test_labels_of_one_kind_have_no_errors() -> None:
    names = [("west", "a"), ("west", "b")]
    assert choose_label_errors(names, np.array([1.0, 2.0]), np.array([0, 0])) == LabelErrors(None, 2, {})
    assert choose_label_errors(names, np.array([1.0, np.nan]), np.array([1, 0])).tiles == {}, "no data says nothing"
    assert choose_label_errors([], np.array([]), np.array([])) == LabelErrors(None, 0, {})


def test_cells_are_free_where_a_used_negative_tile_covers_them(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    _, other, _ = make_scene(tmp_path, 200, 150, name="hill")
    cells = read_cells([*tiles, *other], tmp_path, torch.device("cpu"))
    side = SIZE // CELL
    assert cells.features.shape == (len(cells.names) * side**2, 472)
    assert [name for scene, name in cells.names if scene == "valley"] == list(names_and_labels(tiles[0]))
    valley = np.array([scene == "valley" for scene, _ in cells.names])
    assert not set(cells.place[valley].ravel()) & set(cells.place[~valley].ravel()), "scenes have no ground in common"
    assert len(np.unique(cells.place[valley])) < cells.place[valley].size, "overlapping tiles have"
    every = np.ones(len(cells.names), bool)
    target = cells.targets(every)
    assert (target[cells.labels == 0] != 1).all() and (target[~cells.known] == 255).all() and not cells.known.all()
    positive = cells.labels == 1
    assert (target[positive] == 0).any() and (target[positive] == 1).any()
    without = cells.targets(positive)
    assert (without[positive] != 0).all(), "negative tiles that are not used exclude nothing"
    assert (without[~positive] == 255).any()


def test_tiles_of_the_test_part_are_not_read(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path, split="blocks")
    cells = read_cells(tiles, tmp_path, torch.device("cpu"))
    assert [name for _, name in cells.names] == list(names_and_labels(tiles[0]))
    with TileStack(tiles[0]) as stack:
        assert (stack.read("part") == TEST).any(), "else nothing would be left out"


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


def test_a_wrong_label_is_found_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the tiles on a landslide is labelled negative."""
    monkeypatch.setattr(rule, "FEWEST_POSITIVE", 1)  # the scene is small
    _, tiles, _ = make_scene(tmp_path, 560, 400)
    before = names_and_labels(tiles[0])
    assert before["r38_c0"] == 1
    label_errors(tiles, tmp_path / "before.json", 5, device="cpu", threads=1)
    assert read_label_errors(tmp_path / "before.json").tiles == {}
    relabel(tiles[0], label={list(before).index("r38_c0"): 0})
    output = tmp_path / "errors.json"
    label_errors(tiles, output, 5, device="cpu", threads=1)
    assert read_label_errors(output).tiles == {"valley": ["r38_c0"]}
    again = tmp_path / "again.json"
    label_errors(tiles, again, 5, device="cpu", threads=1)
    assert again.read_bytes() == output.read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing temporary is left"


def test_labels_of_tiles_that_hardly_overlap_are_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rule, "FEWEST_POSITIVE", 1)  # the scene is small
    _, tiles, _ = make_scene(tmp_path, 560, 400, tiling=TileSettings(size=SIZE, overlap=0))
    before = names_and_labels(tiles[0])
    assert before["r0_c0"] == 1
    relabel(tiles[0], label={list(before).index("r0_c0"): 0})
    caplog.set_level("INFO")
    label_errors(tiles, tmp_path / "errors.json", 5, device="cpu", threads=1)
    negative = sum(label == 0 for label in before.values()) + 1
    assert read_label_errors(tmp_path / "errors.json") == LabelErrors(None, negative, {})
    assert "labels are not checked: tiles share 27 % of their ground" in caplog.text
    monkeypatch.setattr(cross_validation, "LEAST_SHARED", 0)
    label_errors(tiles, tmp_path / "all.json", 5, device="cpu", threads=1)
    assert "r0_c0" in read_label_errors(tmp_path / "all.json").tiles["valley"]


def test_ground_that_two_tiles_cover_is_shared() -> None:
    place = np.array([[0, 1, 2, 3], [2, 3, 4, 5], [6, 7, 8, 9]])
    known = np.ones(place.shape, bool)
    cells = Cells([("west", f"t{number}") for number in range(3)], np.zeros(3, int), place, known, np.zeros((12, 1)))
    assert cells.shared() == pytest.approx(4 / 12)
    known[0, 3] = False
    assert cells.shared() == pytest.approx(2 / 11), "where one of two tiles has no data, the other is alone"
    assert replace(cells, known=np.zeros_like(known)).shared() == 0


def test_many_tiles_are_divided_into_groups_of_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = [make_scene(tmp_path, 560, 400, name=name)[1][0] for name in ("a", "b", "c")]
    count = len(names_and_labels(stacks[0]))
    assert groups_of(stacks) == [stacks]
    monkeypatch.setattr(cross_validation, "TILES_OF_A_GROUP", 2 * count)
    assert groups_of(stacks) == [stacks[:2], stacks[2:]]
    monkeypatch.setattr(cross_validation, "TILES_OF_A_GROUP", 1)
    assert groups_of(stacks) == [[stack] for stack in stacks]
    label_errors(stacks, tmp_path / "errors.json", 2, device="cpu", threads=1)
    assert read_label_errors(tmp_path / "errors.json").negative == 3 * sum(
        label == 0 for label in names_and_labels(stacks[0]).values()
    )


def test_ready_made_tiles_are_refused(tmp_path: Path) -> None:
    _, (tiles,), _ = make_scene(tmp_path)
    with TileStack(tiles) as stack:
        arrays, attributes, specs = {name: stack.read(name) for name in stack.arrays}, stack.attributes, stack.arrays
    with TileStackWriter(tiles, {**attributes, "kind": "folder"}, specs) as writer:
        writer.append(**arrays)
    with pytest.raises(InputError, match="'valley' is a folder of ready-made tiles"):
        label_errors([tiles], tmp_path / "errors.json", 5, device="cpu", threads=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["valley.b001.zarr.zip", "valley.tif", "valley_mask.tif"]


def test_scenes_without_training_tiles_have_no_errors(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path, split="test")
    label_errors(tiles, tmp_path / "errors.json", 5, device="cpu", threads=1)
    assert read_label_errors(tmp_path / "errors.json") == LabelErrors(None, 0, {})


def test_training_tiles_of_one_kind_have_no_errors(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    relabel(tiles[0], label=dict.fromkeys(range(len(names_and_labels(tiles[0]))), 1))
    label_errors(tiles, tmp_path / "errors.json", 5, device="cpu", threads=1)
    assert read_label_errors(tmp_path / "errors.json").count == 0


def test_the_benchmark_counts_named_and_wrong_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tiles, _ = make_scene(tmp_path, 560, 400)
    cells = read_cells(tiles, tmp_path, torch.device("cpu"))
    negative = int((cells.labels == 0).sum())
    assert benchmark.count(cells, 0, 0, 5).tolist() == [negative, 0, 0, 0]
    # All labels are wrong: each of the tiles that are negative now is.
    monkeypatch.setattr(benchmark, "cross_validate", lambda *_: np.zeros(len(cells.names)))
    positive = len(cells.names) - negative
    assert benchmark.count(cells, 1, 0, 5).tolist() == [positive] * 4


def test_labels_left_out_are_a_warning(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    write_label_errors(LabelErrors(1.5, 20, {"west": ["r0_c0", "r0_c154"]}), tmp_path / "errors.json")
    found = check_training(tiles, label_errors=tmp_path / "errors.json")
    assert found["label_errors"] == {"west": ["r0_c0", "r0_c154"]}
    (text,) = [one for one in found["warnings"] if "leave theirs out" in one]
    assert text.startswith("2 of 20 negative training tiles") and "(west r0_c0, west r0_c154)" in text
    assert "ground.folds: 0" in text
    many = LabelErrors(1.5, 30, {"west": [f"r0_c{number}" for number in range(15)]})
    assert "west r0_c11 and 3 more in ground/label_errors.json)" in label_error_warnings(many)[0]
    write_label_errors(LabelErrors(1.5, 20, {}), tmp_path / "errors.json")
    assert not [
        one for one in check_training(tiles, label_errors=tmp_path / "errors.json")["warnings"] if "leave" in one
    ]


def test_other_files_are_refused_as_label_errors(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"schema": 1}')
    with pytest.raises(InputError, match="not a file of label errors of schema 1"):
        read_label_errors(tmp_path / "a.json")


def test_one_fold_is_no_cross_validation() -> None:
    with pytest.raises(ConfigError, match=r"'ground.folds': a cross-validation has two folds or more"):
        parse_config({"ground": {"folds": 1}})
