"""Experiments in real Snakemake: shared files are made once, and no unneeded file is made."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from small_project import Project

pytestmark = pytest.mark.slow

SCENES = 3
COSTLY = {"tile", "localizer", "cams", "encode"}
TABLE = {"trials": SCENES, "tabulate": 1}


def test_sweep_and_ablation_share_one_job_a_scene(project: Project) -> None:
    """13 thresholds and 3 kinds of prompts: no tile, CAM or embedding is made again, and each scene is decoded once."""
    assert project.plan("--", "threshold_sweep") == TABLE
    assert project.plan("--", "threshold_sweep", "prompt_ablation") == {**TABLE, "tabulate": 2}
    project.snakemake("--", "threshold_sweep", "prompt_ablation")
    folder = project.folder / "results/small/experiments"
    sweep, ablation = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("threshold_sweep", "prompt_ablation")
    )
    measured = json.loads((project.folder / "results/small/metrics/pseudo_masks.json").read_text())["rows"]
    for part in ("train", "test"):
        (run,) = (r for r in measured if (r["source"], r["part"]) == ("apsam", part) and "scene" not in r)
        at_120 = next(
            r for r in sweep["rows"] if (r["source"], r["part"], r["threshold"]) == ("apsam", part, 120)
        )  # fmt: skip
        both = next(r for r in ablation["rows"] if (r["part"], r["prompts"]) == (part, "both"))
        for count in ("tp", "fp", "fn", "tn"):
            assert run[count] == at_120[count] == both[count], "the experiment counts what the run counts"
    assert project.plan("--", "threshold_sweep", "prompt_ablation") == {}
    assert project.plan() == {"report": 1}, "the run itself is not touched, its report shows them"
    assert all((folder / f"threshold_sweep.{kind}").stat().st_size for kind in ("csv", "png", "svg"))


def test_a_resunet_a_threshold_is_trained_on_demand(project: Project) -> None:
    project.configure("experiments", thresholds=[100, 120], retrain=True)
    plan = project.plan("--", "threshold_sweep")
    assert plan["resunet"] == plan["metrics_maps"] == 1, (
        "120 is the run's own, and the CAM's network knows no threshold"
    )
    assert plan["prompts"] == plan["masks_apsam"] == SCENES - 1, "of the scenes that are trained on"
    assert not COSTLY & set(plan) and plan["tabulate"] == 2


def test_full_image_mode_reads_existing_embeddings(project: Project) -> None:
    assert project.plan("--", "everything_vs_apsam") == {"compare_everything": 1}


def test_seeds_train_again_and_share_tiles_and_embeddings(project: Project) -> None:
    plan = project.plan("--", "seeds", "threshold_sweep", "prompt_ablation")
    others = 2  # seed 1 is the run's own
    assert {name: plan.get(name, 0) for name in COSTLY} == {
        "tile": 0, "encode": 0, "localizer": others, "cams": others * SCENES
    }  # fmt: skip
    assert plan["trials"] == (1 + others) * SCENES and plan["measure_apsam"] == 1 + others


def test_sam_with_missing_weights_is_named_and_has_no_job(project: Project, monkeypatch) -> None:
    monkeypatch.setenv("APSAM_CACHE", str(project.folder / "empty"))
    assert project.plan("--", "sam_size") == {"measure_apsam": 1, "tabulate": 1}
    project.snakemake("--", "sam_size")
    table = json.loads((project.folder / "results/small/experiments/sam_size.json").read_text())
    skipped = {row["sam"]: row["skipped"] for row in table["rows"] if row["skipped"]}
    assert set(skipped) == {"mobile", "vit_b", "vit_l", "vit_h"}
    assert all("weights are not on this machine" in reason for reason in skipped.values())


def test_released_choices_share_unaffected_files(project: Project) -> None:
    """Each file that the plan makes is made by one job, and a choice of prompts trains and encodes nothing."""
    printed = project.snakemake("--dry-run", "--printshellcmds", "--", "released_effects")
    outputs = Counter(re.findall(r"--output results/store/(\S+)", printed))
    assert outputs and max(outputs.values()) == 1
    changed = 3  # the label gate, the channels, and both
    assert project.plan("--", "released_effects")["encode"] == changed * SCENES
