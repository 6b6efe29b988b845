"""Experiments: counts equal those of the metrics, thresholds are selected without labels, prompts decoded once."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fake_run import make_fake_run
from tiny_sam import tiny_sam

from apsam.errors import InputError
from apsam.experiments import everything, trials
from apsam.experiments.figures import draw_bars, draw_threshold_sweep
from apsam.experiments.prompt_ablation import prompt_ablation
from apsam.experiments.results import read_trials
from apsam.experiments.settings import ExperimentSettings
from apsam.experiments.table import COUNTS, FIGURES, PART, Column, Experiment, write_experiment
from apsam.experiments.threshold_sweep import threshold_sweep
from apsam.experiments.trials import Trial, make_trials, plan_trials
from apsam.experiments.variants import sam_size, seeds
from apsam.files import write_json
from apsam.ground.labels import make_ground_labels
from apsam.masks import prompted
from apsam.masks.prompted import make_prompted_masks
from apsam.masks.settings import CamMaskSettings
from apsam.masks.thresholded import make_cam_masks
from apsam.metrics.pseudo_masks import measure_pseudo_masks
from apsam.metrics.scene import MeasuredScene
from apsam.prompts.files import make_prompts, read_prompts
from apsam.prompts.settings import PromptSettings
from apsam.sam.settings import EverythingSettings, MasksSettings, SamSettings
from apsam.stack import TileStack, TileStackWriter

NAMES = ("alder", "birch")
SETTINGS = ExperimentSettings(thresholds=(60, 120, 170))
PROMPTS = PromptSettings()


@pytest.fixture(scope="module")
def sam():
    return tiny_sam()


@pytest.fixture(scope="module")
def run(tmp_path_factory, sam):
    """A fake run with embeddings of noise for the tiny SAM: its masks are nonsense, its figures must add up."""
    folder = tmp_path_factory.mktemp("experiments") / "fake"
    make_fake_run(folder, NAMES)
    for name in NAMES:
        with TileStack(folder / f"tiles/{name}.zarr.zip") as stack:
            positive = np.flatnonzero(stack.read("label") == 1).astype(np.int32)
        noise = np.random.default_rng(len(positive)).normal(size=(len(positive), *sam.embedding_shape))
        attributes = {"scene": name, "sam": sam.name, "checkpoint_hash": sam.checkpoint_hash}
        specs = {"embedding": (sam.embedding_shape, "float16"), "tile": ((), "int32")}
        with TileStackWriter(folder / f"embeddings/{name}.zarr.zip", attributes, specs) as writer:
            writer.append(embedding=noise.astype(np.float16), tile=positive)
        make_prompts(folder / f"cams/{name}.zarr.zip", PROMPTS, folder / f"prompts/{name}.json")
    return folder


@pytest.fixture(autouse=True)
def use_the_tiny_sam(monkeypatch, sam):
    for module in (trials, prompted, everything):
        monkeypatch.setattr(module, "build_sam", lambda *_, **__: sam)


def scene_of(run: Path, name: str) -> MeasuredScene:
    from apsam.scenes import Scene

    split = "test" if name == NAMES[-1] else "train"
    image, mask = run / f"scenes/{name}.tif", run / f"scenes/{name}_mask.tif"
    return MeasuredScene(Scene(name, "raster", image, None, mask, split), run / f"tiles/{name}.zarr.zip")


def trials_of(run: Path, folder: Path, scenes=None, prompts=PROMPTS, masks=None, labels=None) -> list[Path]:
    made = []
    for name in NAMES:
        path = folder / f"{name}.zarr.zip"
        made.append(path)
        measured = (scenes or {}).get(name, scene_of(run, name))
        cams, embeddings = (run / f"{stage}/{name}.zarr.zip" for stage in ("cams", "embeddings"))
        sections = (prompts, SamSettings(), masks or MasksSettings(), SETTINGS)
        make_trials(measured, cams, embeddings, *sections, path, ground=(labels or {}).get(name))
    return made


@pytest.fixture(scope="module")
def made(run, tmp_path_factory, sam):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "build_sam", lambda *_, **__: sam)
        return trials_of(run, tmp_path_factory.mktemp("trials"))


def test_every_trial_is_planned_once():
    planned = plan_trials(PROMPTS, MasksSettings(), SETTINGS)
    assert len(planned) == len(set(planned)) == 3 + 3 + 3
    assert Trial("both", 60) in planned and Trial("points", 60) not in planned and Trial("points", 120) in planned
    assert Trial("both_cam", 120) in planned
    assert not [t for t in plan_trials(PROMPTS, MasksSettings(cam_mask=True), SETTINGS) if t.kind == "both_cam"]


@pytest.fixture(scope="module")
def label_maps(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    for name in NAMES:
        make_ground_labels([run / f"tiles/{name}.zarr.zip"], folder / f"{name}.tif")
    return {name: folder / f"{name}.tif" for name in NAMES}


@pytest.fixture(scope="module")
def made_with_label_maps(run, tmp_path_factory, sam, label_maps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "build_sam", lambda *_, **__: sam)
        return trials_of(run, tmp_path_factory.mktemp("trials"), labels=label_maps)


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("kind", ["both", "boxes", "both_cam"])
def test_trials_count_what_masks_and_metrics_stages_count(
    run, made, made_with_label_maps, label_maps, tmp_path, kind, exclude
):
    results = read_trials(made_with_label_maps if exclude else made)
    masks = []
    for name in NAMES:
        masks.append(tmp_path / f"{name}.zarr.zip")
        files = [run / f"{stage}/{name}" for stage in ("tiles", "cams", "prompts", "embeddings")]
        tiles, cams, prompts, embeddings = (
            file.with_name(f"{name}{'.json' if file.parent.name == 'prompts' else '.zarr.zip'}") for file in files
        )
        settings = MasksSettings(prompts=kind.removesuffix("_cam"), cam_mask=kind.endswith("_cam"))
        labels = label_maps[name] if exclude else None
        make_prompted_masks(tiles, cams, prompts, embeddings, SamSettings(), settings, masks[-1], ground=labels)
    expected = measure_pseudo_masks([scene_of(run, name) for name in NAMES], {"apsam": masks})
    for row in expected["rows"]:
        if "scene" not in row:
            figures = results.figures(results.fixed(kind, 120), row["part"])
            assert figures == {key: value for key, value in row.items() if key not in ("source", "part")}
            assert figures["tp"] + figures["fp"] > 0, "else nothing would be compared"


def test_label_maps_leave_fewer_landslide_pixels(made, made_with_label_maps):
    free, excluded = (
        read_trials(files).figures(read_trials(files).fixed("both", 120), "train")
        for files in (made, made_with_label_maps)
    )
    assert excluded["tp"] + excluded["fp"] < free["tp"] + free["fp"] and excluded["tp"] <= free["tp"]


def test_cam_trials_count_what_the_baseline_counts(run, made, tmp_path):
    results = read_trials(made)
    masks = []
    for name in NAMES:
        masks.append(tmp_path / f"{name}.zarr.zip")
        settings = CamMaskSettings(threshold=60)
        make_cam_masks(run / f"tiles/{name}.zarr.zip", run / f"cams/{name}.zarr.zip", settings, masks[-1])
    expected = measure_pseudo_masks([scene_of(run, name) for name in NAMES], {"cam": masks})
    for row in expected["rows"]:
        if "scene" not in row:
            figures = results.figures(results.fixed("cam", 60), row["part"])
            assert {key: row[key] for key in figures} == figures


def test_trials_encode_no_image_and_decode_each_kind_once(run, tmp_path, sam, monkeypatch):
    seen = []
    released = trials.decode_prompt_sets

    def spy(*given):
        seen.append((given[4].prompts, tuple(entry.tile for entry in given[2])))
        return released(*given)

    monkeypatch.setattr(trials, "decode_prompt_sets", spy)
    monkeypatch.setattr(type(sam.model.image_encoder), "forward", lambda *_: pytest.fail("an image was encoded"))
    trials_of(run, tmp_path)
    asked = [(kind, tile) for kind, tiles in seen for tile in tiles]
    positive = {}
    for name in NAMES:
        with TileStack(run / f"tiles/{name}.zarr.zip") as stack:
            positive[name] = int(stack.read("label").sum())
    assert len(asked) == 4 * sum(positive.values())


def test_selected_thresholds_do_not_depend_on_reference_masks(run, made, tmp_path):
    """Another reference mask changes all counts and no selection."""
    scenes = {}
    for name in NAMES:
        measured = scene_of(run, name)
        with rasterio.open(measured.scene.mask) as source:
            profile, values = source.profile, source.read(1)
        other = tmp_path / f"{name}_mask.tif"
        with rasterio.open(other, "w", **profile) as target:
            target.write(1 - (values == 1).astype(np.uint8), 1)
        scenes[name] = replace(measured, scene=replace(measured.scene, mask=other))
    one, two = read_trials(made), read_trials(trials_of(run, tmp_path, scenes))
    thresholds = SETTINGS.thresholds
    assert (one.counts != two.counts).any()
    assert one.best_agreement("both", thresholds) == two.best_agreement("both", thresholds)
    np.testing.assert_array_equal(one.selected("both", thresholds), two.selected("both", thresholds))


def test_the_sweep_marks_one_threshold_and_names_its_rule(made, tmp_path):
    results = read_trials(made)
    experiment = threshold_sweep(results, SETTINGS.thresholds)
    fixed = [row for row in experiment.rows if row["source"] == "apsam" and row["threshold"] != "per tile"]
    best = max(fixed, key=lambda row: row["agreement"])["threshold"]
    assert {row["threshold"] for row in fixed if row["selected"]} == {best}
    assert f"Selected without labels: {best}" in " ".join(experiment.notes)
    assert {(r["part"], r["threshold"]) for r in experiment.rows if r["source"] == "apsam"} == {
        (part, threshold) for part in ("train", "test") for threshold in (60, 120, 170, "per tile")
    }
    draw_threshold_sweep(experiment, tmp_path / "threshold_sweep.json")
    assert "selected without labels" in (tmp_path / "threshold_sweep.svg").read_text()
    assert (tmp_path / "threshold_sweep.png").stat().st_size > 1000


def test_per_tile_selection_equals_the_masks_stage(run, tmp_path, made):
    results = read_trials(made)
    selected = results.selected("both", SETTINGS.thresholds)
    for name, offset in zip(NAMES, np.cumsum([0, *(len(TileStack(p)) for p in made[:-1])]), strict=True):
        prompts = tmp_path / f"{name}.json"
        cams, embeddings, tiles = (run / f"{s}/{name}.zarr.zip" for s in ("cams", "embeddings", "tiles"))
        make_prompts(cams, PromptSettings(threshold="auto", candidates=SETTINGS.thresholds), prompts)
        output = tmp_path / f"{name}.zarr.zip"
        make_prompted_masks(tiles, cams, prompts, embeddings, SamSettings(), MasksSettings(), output)
        with TileStack(output) as stack:
            chosen = stack.read("threshold")
        for tile in np.flatnonzero(chosen >= 0):
            assert results.trials[selected[offset + tile]] == Trial("both", int(chosen[tile]))


def test_ablation_has_the_papers_three_kinds_and_the_cam(made):
    experiment = prompt_ablation(read_trials(made))
    assert [(row["part"], row["prompts"]) for row in experiment.rows] == [
        (part, kind) for part in ("train", "test") for kind in ("both", "boxes", "points", "both_cam")
    ]
    assert experiment.protocol == "held_out"


def test_trials_of_other_settings_are_not_mixed(run, made, tmp_path):
    other = trials_of(run, tmp_path, prompts=PromptSettings(threshold=100))
    with pytest.raises(InputError, match="not those of"):
        read_trials([made[0], other[1]])


def test_full_image_mode_on_stored_embeddings(run, sam, tmp_path, monkeypatch):
    monkeypatch.setattr(type(sam.model.image_encoder), "forward", lambda *_: pytest.fail("an image was encoded"))
    files = [
        everything.SceneFiles(
            scene_of(run, name),
            run / f"cams/{name}.zarr.zip",
            run / f"prompts/{name}.json",
            run / f"embeddings/{name}.zarr.zip",
            run / f"masks/apsam/{name}.zarr.zip",
        )
        for name in NAMES
    ]
    settings = EverythingSettings(points_per_side=3, min_iou=0, min_stability=0)
    experiment, compared = everything.compare_everything(files, SamSettings(), settings, 2)
    *rows, mean = experiment.rows
    assert 0 < len(rows) <= 2 and {row["part"] for row in rows} == {"test"}
    assert mean["scene"] == "mean" and mean["apsam_iou"] == pytest.approx(np.mean([r["apsam_iou"] for r in rows]))
    assert all(row["objects"] == len(each.found.iou) for row, each in zip(rows, compared, strict=True))
    everything.draw_everything(compared, tmp_path / "everything_vs_apsam.json")
    assert (tmp_path / "everything_vs_apsam.png").stat().st_size > 1000


def test_the_drawn_prompts_are_those_of_the_mask(run, sam, tmp_path):
    """With `prompts.threshold: auto` a tile has a set of prompts for every threshold tried."""
    cams, embeddings, tiles = (run / f"{s}/{NAMES[-1]}.zarr.zip" for s in ("cams", "embeddings", "tiles"))
    prompts, masks = tmp_path / "p.json", tmp_path / "m.zarr.zip"
    make_prompts(cams, PromptSettings(threshold="auto", candidates=SETTINGS.thresholds), prompts)
    make_prompted_masks(tiles, cams, prompts, embeddings, SamSettings(), MasksSettings(), masks)
    files = everything.SceneFiles(scene_of(run, NAMES[-1]), cams, prompts, embeddings, masks)
    settings = EverythingSettings(points_per_side=2, min_iou=0, min_stability=0)
    _, compared = everything.compare_everything([files], SamSettings(), settings, 2)
    with TileStack(masks) as stack:
        threshold = stack.read("threshold")
    sets = {entry.tile: {one.threshold: one.prompts for one in entry.sets} for entry in read_prompts(prompts).tiles}
    assert compared and all(len(sets[one.row["tile"]]) > 1 for one in compared)
    for one in compared:
        assert tuple(one.prompts) == sets[one.row["tile"]][int(threshold[one.row["tile"]])]


def metrics_file(path: Path, iou: float, protocol: str = "held_out") -> Path:
    shares = {column.key: iou for column in FIGURES}
    rows = [{"source": "apsam", "part": part, "tiles": 4, "tp": 1, "fp": 2, "fn": 3, "tn": 4, **shares} for part in
            ("train", "test")]  # fmt: skip
    write_json(path, {"protocol": protocol, "rows": [*rows, {**rows[0], "scene": "alder"}]})
    return path


def test_seeds_give_mean_and_sample_deviation(tmp_path):
    files = {seed: metrics_file(tmp_path / f"{seed}.json", value) for seed, value in ((1, 0.2), (2, 0.4), (3, 0.3))}
    experiment = seeds({"pseudo_masks": files})
    assert [(row["part"], row["seeds"]) for row in experiment.rows] == [("train", 3), ("test", 3)]
    assert experiment.rows[0]["iou"] == pytest.approx(0.3) and experiment.rows[0]["iou_std"] == pytest.approx(0.1)
    draw_bars(experiment, "iou", ("measured", "source"), tmp_path / "seeds.json")


def test_figures_of_two_protocols_do_not_share_a_table(tmp_path):
    files = {1: metrics_file(tmp_path / "1.json", 0.2), 2: metrics_file(tmp_path / "2.json", 0.3, "as_released")}
    with pytest.raises(InputError, match="different protocols"):
        seeds({"pseudo_masks": files})


def test_a_sam_that_is_not_run_is_named(tmp_path):
    experiment = sam_size({"light": metrics_file(tmp_path / "l.json", 0.2)}, {"vit_h": "no weights"})
    assert [(row["sam"], row.get("skipped")) for row in experiment.rows] == [
        ("light", None), ("light", None), ("vit_h", "no weights")
    ]  # fmt: skip
    assert "vit_h was not run: no weights" in experiment.notes


def test_tables_are_json_and_tidy_csv(tmp_path):
    columns = (Column("what", "What"), PART, *FIGURES[:1], *COUNTS[:1])
    rows = [{"what": "a", "part": "test", "oa": 0.5, "tp": 3}, {"what": "b, c", "part": "test"}]
    write_experiment(Experiment("e", "E", "held_out", columns, rows, ["n"]), tmp_path / "e.json")
    value = json.loads((tmp_path / "e.json").read_text())
    assert (value["schema"], value["protocol"], value["notes"]) == (1, "held_out", ["n"])
    assert value["rows"][1] == {"what": "b, c", "part": "test", "oa": None, "tp": None}
    with (tmp_path / "e.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[0] == {"protocol": "held_out", "what": "a", "part": "test", "oa": "0.5", "tp": "3"}
    assert lines[1]["what"] == "b, c" and lines[1]["oa"] == ""
