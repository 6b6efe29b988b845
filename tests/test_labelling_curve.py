"""The benchmark of labelling: the simulated person, the label map of cells, and a map from labels alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest

from apsam.files import read_json
from apsam.tiles.labels import UNLABELLED
from benchmarks import jinsha_whole_way, labelling_whole_way
from benchmarks.labelling_curve import fit, measure_curve, measure_wrong
from benchmarks.labelling_figures import curve_rows, draw, spread, wrong_rows
from benchmarks.labelling_trial import CELL, Ground, TiledGround, Trial, cells_of, in_tiles, label_map


def ground(name: str, seed: int, side: int = 512) -> Ground:
    """Landslides are squares; one of the eight features tells them from other cells, with noise."""
    rng = np.random.default_rng(seed)
    reference = np.zeros((side, side), np.uint8)
    for row, col in rng.integers(0, (side - 96) // CELL, (6, 2)) * CELL:
        reference[row : row + 64, col : col + 64] = 1
    features = rng.normal(size=(side // CELL, side // CELL, 8)).astype(np.float16)
    features[..., 0] += 4 * reference[::CELL, ::CELL]
    return Ground(name, reference, np.ones(reference.shape, bool), features)


@pytest.fixture(scope="module")
def trial() -> Trial:
    return Trial("A", [in_tiles(ground("alder", 1), 128, 0.4)], [ground("birch", 2)])


def test_cells_are_those_whose_middle_lies_in_the_window() -> None:
    rows, cols = cells_of((0, 77, 128, 128))
    assert (rows.start, rows.stop) == (0, 16) and (cols.start, cols.stop) == (10, 26)
    middles = np.arange(0, 512, CELL) + CELL // 2
    assert np.flatnonzero((middles >= 77) & (middles < 205)).tolist() == list(range(cols.start, cols.stop))


def test_negative_tile_decides_and_unlabelled_tiles_are_ignored() -> None:
    scene = ground("alder", 1)
    windows = np.array([(0, 0, 64, 64), (0, 32, 64, 64), (0, 128, 64, 64)])
    tiled = TiledGround(scene, windows, np.array([1, 0, 1], np.uint8))
    said = label_map(tiled, {"alder/r0_c0": 1, "alder/r0_c32": 0})
    assert said[0, [0, 3, 4, 11]].tolist() == [1, 1, 0, 0]
    assert (said[:, 12:] == UNLABELLED).all() and (said[8:] == UNLABELLED).all()


def test_simulated_person_detects_half_a_per_cent(trial: Trial) -> None:
    tiled = trial.labelled[0]
    for window, label in zip(tiled.windows.tolist(), tiled.answers, strict=True):
        row, col, height, width = window
        share = (tiled.ground.reference[row : row + height, col : col + width] == 1).mean()
        assert label == (share >= 0.005)
    assert 0 < tiled.answers.sum() < len(tiled.answers)


def test_a_map_follows_from_labels_of_tiles(trial: Trial) -> None:
    figures = fit(trial, trial.reference, 1, False).figures
    # All landslide, or as much of it at random, would give less than 0.25.
    share = np.mean(trial.unseen[0].reference == 1)
    assert 2 * share / (1 + share) < 0.25
    assert figures["f1_labelled"] > 0.45 and figures["f1_unseen"] > 0.45
    assert figures["looks"] == figures["of"] == len(trial.reference)


def test_halves_in_both_orders_go_through_the_whole_way(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measured(given: argparse.Namespace, settings: jinsha_whole_way.Settings) -> dict:
        asked.append((given.work.name, given.train, settings.looked_at))
        return {"f1": {labelling_whole_way.ROW + jinsha_whole_way.EXPECTED: {"B": {"61": 0.5, "62": 0.6}}}}

    monkeypatch.setattr(jinsha_whole_way, "measure", measured)
    monkeypatch.setattr(labelling_whole_way, "read_ground", lambda *_: trial.unseen[0])
    monkeypatch.setattr(labelling_whole_way, "in_tiles", lambda *_: trial.labelled[0])
    monkeypatch.setattr(labelling_whole_way, "feature_network", lambda: None)
    names = list(trial.reference)
    halves = {"random": names[::2], "suggested": names[1::2]}
    monkeypatch.setattr(labelling_whole_way, "half_looked_at", lambda *_: halves)
    files = ["--work", str(tmp_path / "work"), "--json", str(tmp_path / "a.json")]
    monkeypatch.setattr(sys, "argv", ["x", "data", "--train", "A", "--test", "B", "--seeds", "61", "62", *files])
    labelling_whole_way.main()
    assert [name for name, *_ in asked] == ["all", "random_1", "suggested_1"]
    for (*_, looked_at), tiles in zip(asked, [names, *halves.values()], strict=True):
        assert looked_at == {"A": {name.partition("/")[2] for name in tiles}}
    record = read_json(tmp_path / "a.json")
    assert [record[name]["labels"] for name in ("all", "random 1", "suggested 1")] == [36, 18, 18]
    assert record["all"]["positive"] == sum(trial.reference.values())


def test_orders_share_first_and_last_tiles_and_wrong_labels_are_corrected(trial: Trial, tmp_path) -> None:
    curve, wrong = measure_curve(trial, 1), measure_wrong(trial, 1, 0.1)
    assert curve["random"][0] == curve["suggested"][0] and curve["random"][-1] == curve["suggested"][-1]
    assert [point["looks"] for point in curve["random"]] == [point["looks"] for point in curve["suggested"]]
    assert wrong["wrong"] == round(0.1 * len(trial.reference)) and wrong["found"] >= 0.6
    figures = {"curve A 1": curve, "curve B 1": curve, "curve demo 1": curve, "wrong A 0.1 1": wrong}
    every = curve["random"][-1]["f1_labelled"]
    assert curve_rows(figures)[0][-1] == f"{every:.2f} ({every:.2f}-{every:.2f})"
    assert wrong_rows(figures)[1][2] == spread([wrong["found"]])
    draw(figures, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
