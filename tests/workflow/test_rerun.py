"""What runs again after a change, asked of real Snakemake: all that depends on it, and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_project import Project

pytestmark = pytest.mark.slow

SCENES = 3
HELD_OUT = 1
END = {"metrics_masks": 1, "metrics_maps": 1, "metrics_summary": 1, "report": 1}
AFTER_PROMPTS = {
    "prompts": SCENES,
    "masks_apsam": SCENES,
    "masks_grabcut": SCENES,
    "resunet": 1,
    "predict": HELD_OUT,
    # Those of the CAM masks' maps show the prompts too.
    "products": 2 * HELD_OUT,
    **END,
}
AFTER_RESUNET = {"resunet": 2, "predict": 2 * HELD_OUT, "products": 2 * HELD_OUT, **END}
del AFTER_RESUNET["metrics_masks"]


def test_nothing_changed(project: Project) -> None:
    assert project.plan() == {}


def test_a_threshold_runs_prompts_and_later_only(project: Project) -> None:
    project.configure("prompts", threshold=90)
    assert project.plan() == AFTER_PROMPTS


def test_settings_of_a_network_leave_what_comes_before(project: Project) -> None:
    project.configure("resunet", epochs=2)
    assert project.plan() == AFTER_RESUNET


def test_a_smallest_area_makes_polygons_again_and_predicts_nothing(project: Project) -> None:
    project.configure("products", min_area_m2=50)
    assert project.plan() == {"products": 2 * HELD_OUT, "report": 1}


def test_a_library_function_runs_the_stages_that_use_it(project: Project) -> None:
    project.replace("apsam/prompts.py", "return (cam > threshold)", "return (cam >= threshold + 1)")
    with_cam_masks = {**AFTER_PROMPTS, "masks_cam": SCENES, "resunet": 2, "predict": 2 * HELD_OUT}
    assert project.plan() == with_cam_masks, "the thresholded CAM is cut by the same function"


def test_a_function_of_one_of_several_commands(project: Project) -> None:
    project.replace("apsam/masks/grabcut.py", "inside.sum() < 16", "inside.sum() < 17")
    assert project.plan() == {"masks_grabcut": SCENES, "metrics_masks": 1, "metrics_summary": 1, "report": 1}


def test_what_no_stage_uses_runs_nothing(project: Project) -> None:
    project.replace("apsam/doctor.py", "LITTLE_SPACE_GB = 5", "LITTLE_SPACE_GB = 6")
    with (project.folder / "apsam/files.py").open("a") as file:
        file.write("\n\ndef new_function():\n    return 1\n")
    assert project.plan() == {}


def test_comments_docstrings_and_layout_run_nothing(project: Project) -> None:
    project.replace("apsam/prompts.py", "    return (cam > threshold)", "    # why\n\n    return ((cam > threshold))")
    project.replace("apsam/prompts.py", '"""Equation 2: ', '"""The second equation: ')
    project.replace("config.yaml", "run:", "# a comment\nrun:")
    assert project.plan() == {}


def test_resources_threads_and_device_run_nothing(project: Project) -> None:
    project.replace("rules/encode.smk", "mem_mb=more(8000)", "mem_mb=9000")
    project.replace("config.yaml", "device: auto", "device: cpu")
    assert project.plan("--set-threads", "localizer=1", "--set-resources", "resunet:runtime=5") == {}


def test_new_dates_run_nothing(project: Project) -> None:
    now = time.time()
    for number, file in enumerate(sorted(project.folder.rglob("*"), reverse=True)):
        if ".snakemake" not in file.parts:
            os.utime(file, (now + number, now + number))
    assert project.plan() == {}


def test_a_fresh_clone_with_copied_results_runs_nothing(finished: Project, tmp_path: Path) -> None:
    memory = shutil.ignore_patterns(".snakemake", "logs")
    shutil.copytree(finished.folder, tmp_path / "clone", ignore=memory, copy_function=shutil.copyfile)
    clone = Project(tmp_path / "clone")
    assert clone.plan() == {}
    clone.configure("prompts", threshold=90)
    assert clone.plan() == AFTER_PROMPTS, "the clone knows what its files were made with"


def test_a_new_scene_runs_its_own_jobs_and_the_trainings(project: Project) -> None:
    with (project.folder / "config/small_scenes.tsv").open("a") as sheet:
        sheet.write("east\tsynthetic\tmask\t\ttest\n")
    plan = project.plan()
    assert {name: plan[name] for name in ("synthesize", "tile", "localizer")} == {
        "synthesize": 1,
        "tile": 1,
        "localizer": 1,
    }
    assert plan["encode"] == 1, "what exists is not encoded again"


def test_a_scene_that_is_held_out_now_is_mapped_and_measured(project: Project) -> None:
    project.replace("config/small_scenes.tsv", "south\tsynthetic\tmask\t\ttrain", "south\tsynthetic\tmask\t\ttest")
    plan = project.plan()
    assert (plan["tile"], plan["encode"], plan["localizer"], plan["resunet"]) == (1, 1, 1, 2)
    assert (plan["predict"], plan["products"]) == (2 * 2, 2 * 2)
    assert {name: plan[name] for name in END} == END


def test_a_changed_scene_goes_through_everything_of_it(project: Project) -> None:
    (project.folder / "results/small/scenes/west.tif").unlink()
    project.configure("tiles", overlap=0.5)
    assert project.plan()["tile"] == SCENES


def test_back_and_forth_gives_the_same_bytes(copy_of_finished: Callable[[str], Project], finished: Project) -> None:
    project = copy_of_finished("there-and-back")
    project.configure("prompts", threshold=90)
    project.snakemake("all_prompts")
    changed = project.results()
    project.configure("prompts", threshold=120)
    shutil.rmtree(project.folder / "results/small/.shelf")  # or the files would come back from there
    project.snakemake("all_prompts")
    before, after = finished.results(), project.results()
    prompts = [name for name in before if name.startswith("small/prompts/")]
    assert any(changed[name] != before[name] for name in prompts)
    assert all(after[name] == before[name] for name in prompts)
