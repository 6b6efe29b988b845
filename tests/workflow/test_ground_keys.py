"""Scene-wide stages: the label map alone by default, the stages added by each setting, and refused settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from own_scenes import write_tiles
from run_keys import changed, paths, run_of
from small_project import ROOT, copy_project

from apsam.errors import ConfigError
from apsam.files import read_json
from workflow_support.checks import check_run
from workflow_support.recipes import InputFile, Ref, Section
from workflow_support.run import Run
from workflow_support.stages import STAGES
from workflow_support.targets import TARGETS

SCENE_WIDE = {"exclude": True, "heat_maps": "labels", "masks": "scene"}
NEW = ("ground", "heatmaps", "views", "self_training")
PAPER = {"exclude": False}
NEEDS_LABEL_MAP = ("cams", "masks/apsam", "masks/cam", "masks/grabcut")


def made(run: Run) -> Counter[str]:
    """Jobs by stage of all that the run has."""
    return Counter({name: len(units) for name, stage in STAGES.items() if (units := stage.units(run))})


def is_new(stage: str) -> bool:
    return stage.split("/")[0] in NEW or "ground" in stage.split("/")


@pytest.mark.parametrize("off", [{"ground": PAPER}, {"label_gate": False}])
def test_the_papers_protocol_has_no_scene_wide_stages(sheet: Callable[..., Path], off: dict[str, Any]) -> None:
    run = run_of(sheet(), **off)
    assert not [stage for stage in made(run) if is_new(stage)]
    for stage in (STAGES[name] for name in made(run)):
        for unit in stage.units(run):
            job = stage.job(run, unit)
            assert job.options.get("ground") is None, stage.name
            refs = [one for value in job.options.values() for one in (value if isinstance(value, list) else [value])]
            assert not [one for one in refs if isinstance(one, Ref) and is_new(one.stage)]
    assert "--image" not in run.recipe("cams", "west").command(1)


def test_label_maps_change_the_stages_that_read_them_and_what_follows(sheet: Callable[..., Path]) -> None:
    before, after = run_of(sheet(), ground=PAPER), run_of(sheet())
    assert made(after) - made(before) == {"ground/label_errors": 1, "ground": 3}
    found = changed(paths(before), paths(after))
    assert {stage: found[stage] for stage in NEEDS_LABEL_MAP} == dict.fromkeys(NEEDS_LABEL_MAP, 3)
    assert not {"tiles", "localizer", "embeddings", "scenes"} & set(found)
    for stage in NEEDS_LABEL_MAP:
        assert f"--ground {after.path(Ref('ground', 'west'))}" in after.recipe(stage, "west").command(1)


def test_a_scene_in_blocks_has_one_label_map(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), synthetic={"size_px": 512}, tiles={"block_tiles": 4})
    assert len(run.recipe("ground", "west").inputs) == 3
    assert run.path(Ref("ground", "west")) in run.recipe("cams", "west.b002").inputs


def test_the_label_map_reads_the_layer_where_points_have_sizes(sheet: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif", "points.gpkg"):
        (tmp_path / name).write_bytes(name.encode())
    rows = [f"{name}\t{name}.tif\tpoints.gpkg\t\ttrain\t{cell}" for name, cell in (("a", "area_m2"), ("b", ""))]
    path = sheet(None, *rows)
    path.write_text(path.read_text().replace("split\n", "split\tsize_column\n", 1))
    run = run_of(path)
    assert f"--layer {tmp_path / 'points.gpkg'}" in run.recipe("ground", "a").command(1)
    assert "--layer" not in run.recipe("ground", "b").command(1)
    both = run_of(path, labels={"size_column": "area_m2"})
    assert "--layer" in both.recipe("ground", "b").command(1)


def test_ready_made_tiles_have_separate_label_maps(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    write_tiles(tmp_path / "data/train", 4, np.random.default_rng(0), ".tif")
    row = "crops\tdata/train/images\tdata/train/labels.csv\t\ttrain"
    run = run_of(sheet(None, row), cams={"context": 32})
    assert made(run)["ground/tiles"] == 1 and made(run)["ground"] == 0
    command = run.recipe("cams", "crops").command(1)
    assert f"--ground {run.path(Ref('ground/tiles', 'crops'))}" in command
    assert "--image" not in command, "ready-made tiles have no surroundings but mirrored ones"
    assert STAGES["ground/tiles"].job(run, "crops").options["folder"] == InputFile(run.scenes["crops"].image)


def test_surroundings_need_the_image(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), cams={"context": 32})
    assert f"--image {run.path(Ref('scenes', 'west', 'image'))}" in run.recipe("cams", "west").command(1)


def test_scene_wide_masks_add_a_network_and_its_maps(sheet: Callable[..., Path]) -> None:
    before, after = run_of(sheet(), ground=PAPER), run_of(sheet(), ground={**SCENE_WIDE, "decision": "expected_f1"})
    assert made(after) - made(before) == {
        "ground/label_errors": 1, "ground": 3,
        "heatmaps/networks": 3, "heatmaps": 2, "heatmaps/threshold": 1, "heatmaps/factor": 1,
        "views": 2, "views/heatmaps": 2, "views/prompts": 2, "views/embeddings": 2, "views/masks": 2,
        "masks/ground": 2, "resunet/ground": 1, "maps/ground": 1, "maps/ground/products": 1, "maps/ground/decided": 1,
    }  # fmt: skip
    wanted = {ref.stage for ref in TARGETS["all"](after)}
    assert {"maps/ground", "maps/ground/products", "maps/ground/decided"} <= wanted
    assert after.find("maps/ground/west_mask.tif") == Ref("maps/ground/decided", "west", "mask")
    assert after.path(Ref("maps/ground/decided", "west")) in after.recipe("metrics/maps").inputs
    assert after.path(Ref("maps/ground/decided", "west")) in after.recipe("maps/ground/products", "west").inputs
    assert after.path(Ref("masks/ground", "north")) in after.recipe("metrics/checks").inputs, "it may be empty"


def test_scene_wide_maps_alone_need_no_localizer(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), ground={**SCENE_WIDE, "decision": "expected_f1"})
    wanted = [run.path(ref) for ref in TARGETS["all_ground_maps"](run)]
    needed, by_path = set(), {path: job for job in run.known.values() for path in job.outputs.values()}
    while wanted:
        job = by_path[wanted.pop()]
        if job.folder not in needed:
            needed.add(job.folder)
            wanted += job.inputs
    stages = {folder.removeprefix("results/store/").rsplit("/", 1)[0] for folder in needed}
    assert {"heatmaps/networks", "views/masks", "resunet/ground", "maps/ground/decided"} <= stages
    assert not {"localizer", "cams", "resunet/apsam", "resunet/cam"} & stages


def test_held_out_scenes_are_not_used_for_training(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), ground=SCENE_WIDE, self_training={"rounds": 2})
    trainings = (
        "ground/label_errors",
        "heatmaps/networks",
        "heatmaps/threshold",
        "heatmaps/factor",
        "self_training/networks",
    )
    for stage in (*trainings, "self_training/masks", "self_training/resunet/scenes", "resunet/ground"):
        (unit, *_) = STAGES[stage].units(run)
        assert not [path for path in run.recipe(stage, unit).inputs if "/west." in path], stage
    assert made(run_of(sheet(), ground=SCENE_WIDE))["maps/ground/decided"] == 0, "the map's 0.5"


def test_the_check_of_labels_depends_on_the_folds_alone(sheet: Callable[..., Path]) -> None:
    tiles, scene = run_of(sheet()), run_of(sheet(), ground=SCENE_WIDE)
    assert tiles.path(Ref("ground/label_errors")) == scene.path(Ref("ground/label_errors"))
    assert not {"ground/label_errors", "ground", "cams", "masks/apsam"} & set(changed(paths(tiles), paths(scene)))
    assert "ground" in changed(paths(tiles), paths(run_of(sheet(), ground={"folds": 4})))


def test_labels_of_training_scenes_are_checked(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), ground=SCENE_WIDE)
    found = run.path(Ref("ground/label_errors"))
    checked = {unit for unit in STAGES["ground"].units(run) if found in run.recipe("ground", unit).inputs}
    assert checked == set(run.training) and checked < set(run.names)
    for stage in ("heatmaps/threshold", "metrics/checks"):
        assert f"--label-errors {found}" in run.recipe(stage).command(1)
    as_given = run_of(sheet(), ground={**SCENE_WIDE, "folds": 0})
    assert made(as_given)["ground/label_errors"] == 0
    for stage in ("ground", "heatmaps/threshold", "metrics/checks"):
        (unit, *_) = STAGES[stage].units(as_given)
        assert "label-errors" not in as_given.recipe(stage, unit).command(1)


@pytest.mark.parametrize(("section", "elsewhere"), [("heatmaps", {"networks"}), ("views", set())])
def test_every_setting_of_a_section_in_parts_reaches_a_stage(
    sheet: Callable[..., Path], section: str, elsewhere: set[str]
) -> None:
    """Commands get only the keys that their stage names: one that no stage names would be ignored."""
    run = run_of(sheet(), ground=SCENE_WIDE)
    passed: set[str] = set()
    for stage in STAGES.values():
        for unit in stage.units(run)[:1]:
            for value in stage.job(run, unit).options.values():
                if isinstance(value, Section) and value.name == section:
                    assert value.keys, "a part of the section"
                    passed |= set(value.keys)
    assert passed | elsewhere == set(type(getattr(run.config, section)).model_fields)


@pytest.mark.parametrize(
    ("sections", "first", "not_before"),
    [
        ({"heatmaps": {"epochs": 3}}, "heatmaps/networks", {"ground"}),
        ({"heatmaps": {"flips": True}}, "heatmaps", {"heatmaps/networks"}),
        ({"heatmaps": {"present_share": 0.01}}, "heatmaps/threshold", {"heatmaps/networks", "heatmaps"}),
        ({"heatmaps": {"grey_per_logit": 30}}, "views/heatmaps", {"heatmaps/threshold", "heatmaps/factor", "views"}),
        ({"views": {"covered": 0.3}}, "heatmaps/factor", {"heatmaps/threshold"}),
        ({"views": {"multiples": [1]}}, "views", {"heatmaps/factor"}),
        ({"views": {"votes": 0.4}}, "masks/ground", {"heatmaps/factor", "views", "views/masks"}),
        ({"maps": {"flips": False}}, "maps/ground", {"resunet/ground"}),
    ],
)
def test_a_setting_changes_the_first_stage_that_reads_it_and_what_follows(
    sheet: Callable[..., Path], sections: dict[str, Any], first: str, not_before: set[str]
) -> None:
    found = changed(paths(run_of(sheet(), ground=SCENE_WIDE)), paths(run_of(sheet(), ground=SCENE_WIDE, **sections)))
    assert {first, "maps/ground", "maps/ground/products"} <= set(found)
    assert not (not_before | {"cams", "tiles"}) & set(found)


@pytest.mark.parametrize(
    ("ground", "message"),
    [
        ({"masks": "scene"}, "masks: scene, heat_maps: labels"),
        ({"heat_maps": "labels"}, "masks: tiles, heat_maps: cam"),
        ({"decision": "expected_f1"}, "set decision: threshold"),
    ],
)
def test_incompatible_settings_are_refused(
    sheet: Callable[..., Path],
    ground: dict[str, str],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_of(sheet(), ground=ground)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"sam": {"window": 512}}, "set sam.window: null"),
        ({"resunet": {"keep": "best_on_labels"}}, "set resunet.keep: last"),
        ({"ground": {**SCENE_WIDE, "decision": "expected_f1"}}, "loss: bce_dice does not give; set resunet.loss: bce"),
    ],
)
def test_unsupported_inputs_of_scene_wide_masks_are_named(
    sheet: Callable[..., Path],
    sections: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_run(run_of(sheet(), **{"ground": SCENE_WIDE, **sections}))


def test_ready_made_tiles_have_no_scene_wide_masks(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    write_tiles(tmp_path / "data/train", 4, np.random.default_rng(0), ".tif")
    row = "crops\tdata/train/images\tdata/train/labels.csv\t\ttrain"
    with pytest.raises(ConfigError, match="'crops' is a folder of ready-made tiles.*give the scene as one raster"):
        check_run(run_of(sheet(None, row), ground=SCENE_WIDE))


@pytest.mark.slow
def test_the_settings_for_real_scenes_make_a_map_and_warn(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for section, values in yaml.safe_load((ROOT / "config/real_scenes.yaml").read_text()).items():
        project.configure(section, **values)
    project.configure("self_training", rounds=2)
    project.configure("heatmaps", networks=1, epochs=20)  # after one epoch there is no mask to learn
    names = ("maps/self_training/west_mask.tif", "metrics/checks.json", "masks/cam/west.zarr.zip", "ground/west.tif")
    targets = [f"results/small/{name}" for name in names]
    printed = project.snakemake("--", *targets)
    assert all((project.folder / target).is_file() for target in targets)
    with rasterio.open(project.folder / targets[0]) as mask:
        assert float(mask.tags()["APSAM_THRESHOLD"]) == read_json(project.folder / targets[1])["thresholds"][0]
    (warning, *_) = read_json(project.folder / targets[1])["warnings"]
    assert f"warning: {warning}" in printed
    assert project.plan("--", *targets) == {}
