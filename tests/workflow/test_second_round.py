"""The second round: nothing of it by default, what it adds for masks of tiles and of scenes, and one run of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from run_keys import changed, paths, run_of
from small_project import Project

from apsam.errors import ConfigError
from apsam.files import read_json
from apsam.stack import TileStack
from workflow_support.recipes import Ref
from workflow_support.run import Run
from workflow_support.stages import STAGES
from workflow_support.targets import TARGETS

SCENE_WIDE = {"exclude": True, "heat_maps": "labels", "masks": "scene", "decision": "expected_f1"}
TWO = {"rounds": 2}


def made(run: Run) -> Counter[str]:
    """Jobs by stage of all that the run has."""
    return Counter({name: len(units) for name, stage in STAGES.items() if (units := stage.units(run))})


def test_a_second_round_of_tiles_adds_stages_and_changes_none_before_the_metrics(sheet: Callable[..., Path]) -> None:
    before, after = run_of(sheet()), run_of(sheet(), self_training=TWO)
    assert made(after) - made(before) == {
        "self_training/heatmaps": 3, "self_training/prompts": 3, "self_training/masks/tiles": 3,
        "self_training/resunet": 1, "maps/self_training": 1, "maps/self_training/products": 1,
    }  # fmt: skip
    stages = made(before).keys() & changed(paths(before), paths(after)).keys()
    assert {stage.partition("/")[0] for stage in stages} == {"metrics", "report"}
    stages = {ref.stage for ref in TARGETS["all"](after)}
    assert {"maps/self_training", "maps/self_training/products"} <= stages


def test_the_second_round_of_tiles_starts_from_the_resunet_of_the_source(sheet: Callable[..., Path]) -> None:
    for source in ("cam", "apsam"):
        run = run_of(sheet(), self_training={**TWO, "source": source})
        assert run.path(Ref(f"resunet/{source}")) in run.recipe("self_training/heatmaps", "west").inputs


def test_the_second_round_of_tiles_uses_the_embeddings_of_the_first(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), self_training=TWO)
    assert run.path(Ref("embeddings", "west")) in run.recipe("self_training/masks/tiles", "west").inputs


@pytest.mark.parametrize(
    ("masks", "asked", "expected"), [(False, True, True), (False, False, False), (True, False, True)]
)
def test_the_heat_map_is_a_mask_prompt_where_either_setting_says_so(
    sheet: Callable[..., Path], masks: bool, asked: bool, expected: bool
) -> None:
    run = run_of(sheet(), masks={"cam_mask": masks}, self_training={**TWO, "mask_prompt": asked})
    options = STAGES["self_training/masks/tiles"].job(run, "west").options
    assert json.loads(options["settings"])["cam_mask"] is expected


def test_plain_names_are_those_of_a_source(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), self_training=TWO)
    assert run.find("masks/self_training/west.zarr.zip").stage == "self_training/masks/tiles"
    assert run.find("resunet/self_training/weights.safetensors").stage == "self_training/resunet"
    assert run.find("maps/self_training/west_mask.tif") == Ref("maps/self_training", "west", "mask")


def test_blocks_of_the_second_round_are_joined(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), synthetic={"size_px": 512}, tiles={"block_tiles": 4}, self_training=TWO)
    assert made(run)["self_training/masks/tiles/joined"] == made(run)["self_training/prompts/joined"] == 3
    joined = run.path(Ref("self_training/masks/tiles/joined", run.training[0]))
    assert joined in run.recipe("self_training/resunet").inputs
    assert (
        run.path(Ref("self_training/prompts/joined", "west"))
        in run.recipe("maps/self_training/products", "west").inputs
    )


def test_a_second_round_of_scenes_learns_the_first_rounds_maps(sheet: Callable[..., Path]) -> None:
    before = run_of(sheet(), ground=SCENE_WIDE)
    after = run_of(sheet(), ground=SCENE_WIDE, self_training=TWO)
    assert made(after) - made(before) == {
        "self_training/networks": 2, "self_training/maps": 2, "self_training/masks": 2,
        "self_training/resunet/scenes": 1, "maps/self_training": 1, "maps/self_training/products": 1,
        "maps/self_training/decided": 1,
    }  # fmt: skip
    first, last = (after.recipe(stage).inputs for stage in ("resunet/ground", "self_training/resunet/scenes"))
    for name in after.training:
        assert after.path(Ref("masks/ground", name)) in first and after.path(Ref("masks/ground", name)) not in last
        assert after.path(Ref("self_training/masks", name)) in last
        assert after.path(Ref("self_training/masks", name)) in after.recipe("metrics/checks").inputs
    networks = after.recipe("self_training/maps", after.training[0]).inputs
    assert after.path(Ref("resunet/ground")) in networks, "the first round's own network is one of the ensemble"
    command = after.recipe("self_training/masks", after.training[0]).command(1)
    assert "--threshold" not in command, "networks that learned masks are right at 0.5"
    assert after.find("maps/self_training/west_mask.tif") == Ref("maps/self_training/decided", "west", "mask")


def test_choices_of_numbers_may_be_text_as_of_snakemakes_command_line(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), self_training={"rounds": "2"}, localizer={"output_stride": "8"})
    assert run.second_round and run.config.localizer.output_stride == 8
    with pytest.raises(ConfigError, match=r"'localizer.output_stride': input should be 8, 16 or 32 \(it is '9'\)"):
        run_of(sheet(), localizer={"output_stride": "9"})


def test_the_rounds_that_ground_had_are_refused(sheet: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"self_training\.rounds"):
        run_of(sheet(), ground={"rounds": 2})


@pytest.mark.slow
def test_a_second_round_starts_from_the_finished_first_and_is_measured_and_mapped(project: Project) -> None:
    project.configure("self_training", rounds=2)
    assert not {"cams", "encode", "resunet", "localizer"} & project.plan().keys()
    project.snakemake()
    view = project.folder / "results/small"
    with (
        TileStack(view / "masks/self_training/west.zarr.zip") as second,
        TileStack(view / "tiles/west.zarr.zip") as tiles,
    ):
        masks, label = second.read("mask"), tiles.read("label")
    assert (masks[label == 0] != 1).all(), "the label gate contains in the second round"
    assert (masks[label == 1] == 1).any()
    sources = {row["source"] for row in read_json(view / "metrics/pseudo_masks.json")["rows"]}
    assert "self_training" in sources
    assert "self_training" in {row["source"] for row in read_json(view / "metrics/resunet.json")["rows"]}
    page = (view / "report/index.html").read_text()
    assert "Pseudo-mask, second round" in page and "ResUNet of the second round" in page
    assert (view / "maps/self_training/west.gpkg").is_file()
    assert project.plan() == {}
