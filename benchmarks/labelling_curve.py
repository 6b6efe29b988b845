"""F1 of the map against the number of labelled tiles; reference masks are used in place of a person.

    python -m benchmarks.labelling_curve DATA --json curve.json

DATA has `scene_A.tif`, `scene_A_mask.tif`, and the same of B. Three trials: A is labelled and B is mapped, B is
labelled and A is mapped, and four synthetic scenes of the demo are labelled and two others mapped. A reference mask
replaces the person: a tile is labelled positive if at least 0.5 % of it is landslide.

To need little time on one core, the map is that of a small head on frozen features (`benchmarks.labelling_trial`), its
threshold calibrated on the labels; SAM and the ResUNet are not used. F1 is measured on the labelled scenes
(where tiles labelled negative empty the map) and on scenes that were not used in any step.

Measurements are written to the JSON file one by one; existing ones are not repeated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from apsam.device import set_threads
from apsam.files import read_json, write_json
from apsam.labelling.simulate import found_among_first, look_at, random_order, suggested_order, with_errors
from apsam.labelling.suggest import suggest
from apsam.labelling.suggestions import Suggestions
from apsam.metrics.counts import Counts
from benchmarks.labelling_trial import (
    Ground,
    Labels,
    Trial,
    calibrated,
    counts,
    evidence,
    feature_network,
    in_tiles,
    label_map,
    mean_logits,
    read_ground,
    synthetic_ground,
    train_localizer,
    train_maps,
)
from benchmarks.measuring import machine

DEMO = Path(__file__).parents[1] / "scenes.tsv"
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
WRONG = (0.05, 0.1)
FIRST_SUSPECTS = 0.2
GRIDS = [(size, overlap) for size in (256, 128) for overlap in (0, 0.4, 0.75)]
# Numbers of labels for which grids are compared; grids with fewer tiles are left out.
LABELS = {"A": (32, 96), "B": (32, 96), "demo": (96, 192)}


@dataclass(frozen=True)
class Fitted:
    """Result of a training with some labels; with suggestions if requested."""

    figures: dict[str, float]
    suggestions: Suggestions | None


def fit(trial: Trial, labels: Labels, seed: int, wants_suggestions: bool) -> Fitted:
    """Train on labels, map both kinds of scene, and make suggestions if requested."""
    started = time.perf_counter()
    heads = train_maps(trial, labels, seed)
    logits = [mean_logits(heads, tiled.ground) for tiled in trial.labelled]
    threshold = calibrated(trial, labels, logits)
    own = [
        counts(tiled.ground, heat, threshold, label_map(tiled, labels) == 0)
        for tiled, heat in zip(trial.labelled, logits, strict=True)
    ]
    other = [counts(ground, mean_logits(heads, ground), threshold) for ground in trial.unseen]
    found = None
    if wants_suggestions:
        found = suggest(evidence(trial, labels, train_localizer(trial, labels, seed), logits))
    facts = {"looks": len(labels), "positive": sum(labels.values()), "of": len(trial.reference)}
    figures = {"f1_labelled": _f1(own), "f1_unseen": _f1(other), "threshold": threshold}
    figures["seconds"] = round(time.perf_counter() - started, 1)
    print(trial.name, seed, facts, figures, flush=True)
    return Fitted(facts | figures, found)


def _f1(parts: Sequence[Counts]) -> float:
    return round(sum(parts[1:], parts[0]).f1 or 0.0, 4)


def trials(scenes: dict[str, Ground], size: int = 256, overlap: float = 0.4) -> list[Trial]:
    """Return the three trials with tiles of `size` px."""
    tiled = {name: in_tiles(ground, size, overlap) for name, ground in scenes.items()}
    demo = [name for name in scenes if name not in ("A", "B")]
    return [
        Trial("A", [tiled["A"]], [scenes["B"]]),
        Trial("B", [tiled["B"]], [scenes["A"]]),
        Trial("demo", [tiled[name] for name in demo[:4]], [scenes[name] for name in demo[4:]]),
    ]


def read_scenes(data: Path) -> dict[str, Ground]:
    """Return A, B and the scenes of the demo, with their features."""
    network = feature_network()
    real = {
        name: read_ground(name, data / f"scene_{name}.tif", data / f"scene_{name}_mask.tif", network)
        for name in ("A", "B")
    }
    demo = [row.split("\t")[0] for row in DEMO.read_text().splitlines()[1:]]
    return real | {name: synthetic_ground(name, network) for name in demo}


# Measurements


def half_looked_at(trial: Trial, seed: int) -> dict[str, list[str]]:
    """Names of the half of the tiles that are looked at first, in random and in suggested order; both begin alike."""
    reference = trial.reference
    shuffled = random_order(list(reference), seed)
    labels = look_at({}, shuffled, reference, max(round(SHARES[0] * len(reference)), _both_kinds(shuffled, reference)))
    for share in SHARES[1:]:
        found = fit(trial, labels, seed, True).suggestions
        assert found is not None
        labels = look_at(labels, suggested_order(found), reference, round(share * len(reference)) - len(labels))
    return {"random": shuffled[: len(labels)], "suggested": list(labels)}


def measure_curve(trial: Trial, seed: int) -> dict:
    """Measure F1 against the number of labelled tiles, in random and suggested order, with the same first tiles."""
    reference = trial.reference
    shuffled = random_order(list(reference), seed)
    counts = [max(round(share * len(reference)), _both_kinds(shuffled, reference)) for share in SHARES]
    first = look_at({}, shuffled, reference, counts[0])
    begin = fit(trial, first, seed, True)
    random = [fit(trial, look_at({}, shuffled, reference, count), seed, False) for count in counts[1:]]
    suggested, labels, last = [], first, begin
    for count in counts[1:]:
        assert last.suggestions is not None
        labels = look_at(labels, suggested_order(last.suggestions), reference, count - len(labels))
        last = fit(trial, labels, seed, count < counts[-1])
        suggested.append(last)
    every = fit(trial, reference, seed, False)
    return {
        "random": [point.figures for point in (begin, *random, every)],
        "suggested": [point.figures for point in (begin, *suggested, every)],
    }


def measure_wrong(trial: Trial, seed: int, share: float) -> dict:
    """Measure the share of wrong labels among the first ones to check, and F1 before and after these are corrected."""
    reference = trial.reference
    erring, wrong = with_errors(reference, share, seed)
    before = fit(trial, erring, seed, True)
    assert before.suggestions is not None
    check = before.suggestions.of("check")
    first = {entry.tile for entry in check[: round(FIRST_SUSPECTS * len(check))]}
    after = fit(trial, {**erring, **{name: reference[name] for name in first}}, seed, False)
    return {
        "wrong": len(wrong),
        "found": round(found_among_first(before.suggestions, wrong, FIRST_SUSPECTS), 4),
        "before": before.figures,
        "after": after.figures,
    }


def measure_grid(trial: Trial, seed: int, count: int) -> dict:
    """Measure F1 with `count` tiles of a grid, in random order."""
    shuffled = random_order(list(trial.reference), seed)
    return fit(trial, look_at({}, shuffled, trial.reference, count), seed, False).figures


def _both_kinds(order: Sequence[str], reference: Labels) -> int:
    """Return the first tiles with two of either label: fewer cannot be trained on."""
    seen = np.cumsum([[reference[name], 1 - reference[name]] for name in order], axis=0).min(axis=1)
    return int(np.searchsorted(seen, 2)) + 1


def main() -> None:
    """Make the measurements that the record does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of scene_A.tif, scene_A_mask.tif and those of B")
    parser.add_argument("--json", type=Path, required=True, help="the record")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    set_threads(given.threads)
    figures: dict[str, dict] = read_json(given.json)["figures"] if given.json.exists() else {}

    def record(name: str, measure: Callable[[], dict]) -> None:
        if name in figures:
            return
        figures[name] = measure()
        write_json(given.json, {"machine": machine(torch.device("cpu")), "figures": figures})

    scenes = read_scenes(given.data)
    usual = trials(scenes)
    for seed in given.seeds:
        for trial in usual:
            record(f"curve {trial.name} {seed}", partial(measure_curve, trial, seed))
            for share in WRONG:
                record(f"wrong {trial.name} {share:g} {seed}", partial(measure_wrong, trial, seed, share))
    for seed in given.seeds:
        for size, overlap in GRIDS:
            for trial in trials(scenes, size, overlap):
                for count in LABELS[trial.name]:
                    if count <= len(trial.reference):
                        name = f"grid {trial.name} {size} {overlap:g} {count} {seed}"
                        record(name, partial(measure_grid, trial, seed, count))


if __name__ == "__main__":
    main()
