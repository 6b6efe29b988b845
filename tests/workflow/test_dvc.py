"""Snakemake and DVC on the same files: neither presents results of other settings as current.

The three ways in which the obvious combination does (`outs` persisted, Snakemake's memory left behind) are tests here:
after a changed setting with a linking cache, after a checkout with a hand edit, and in a clone. `dvc_matrix.py` has the
same with every kind of cache, and DVC's experiments, metrics and plots (`make test-dvc`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from small_project import ROOT, Project
from versioned_project import RESULTS, VersionedProject

from apsam.config import Config
from workflow_support import dvc_stages
from workflow_support.run import Run
from workflow_support.stages import STAGES
from workflow_support.targets import TARGETS
from workflow_support.view import MAY_BE_EMPTY, TRACKED

slow = pytest.mark.slow


def check_there_and_back(project: VersionedProject) -> None:
    """W1 and W2: the files on disk were made with the settings, by whichever tool."""
    assert "up to date" in project.dvc("status", "prompts", "report")
    assert project.plan() == {}, "linking changes dates, not content"

    project.configure("prompts", threshold=90)
    project.dvc("repro", "prompts")
    assert project.thresholds() == {90}
    project.record("threshold 90")

    project.git("checkout", "--quiet", "HEAD~1")
    project.dvc("checkout", "--quiet", "--force")
    assert project.plan() == {}, "what is checked out belongs together"
    project.snakemake()
    assert project.thresholds() == {120}

    project.configure("prompts", threshold=60)
    assert project.plan("all_prompts") == {"prompts": 3}
    project.snakemake("all_prompts")
    before = project.log_dates()
    project.git("checkout", "--quiet", "config.yaml")
    project.dvc("repro", "prompts")
    project.snakemake("all_prompts")
    assert project.thresholds() == {120} and project.jobs_since(before) == [], "nothing is computed twice"


@slow
def test_clone_pulls_all_files_and_their_recipes(copy_of_finished: Callable[[str], Project], tmp_path: Path) -> None:
    project = VersionedProject(copy_of_finished("versioned").folder)
    project.start("copy")
    clone = push_and_clone(project, tmp_path)
    assert clone.plan() == {}
    clone.configure("tiles", overlap=0.3)
    assert clone.plan()["tile"] == 3, "a changed setting of the first stage is seen without any history"


def push_and_clone(project: VersionedProject, folder: Path, *targets: str) -> VersionedProject:
    """Push to a local remote; a clone that pulled everything, or some stages, from it."""
    project.dvc("remote", "add", "--default", "store", str(folder / "store"))
    project.record("a remote")
    project.dvc("push", "--quiet")
    project.git("clone", "--quiet", str(project.folder), str(folder / "clone"))
    clone = VersionedProject(folder / "clone")
    clone.dvc("pull", "--quiet", *targets)
    return clone


@slow
def test_code_without_effect_on_results_runs_no_dvc_job(copy_of_finished: Callable[[str], Project]) -> None:
    project = VersionedProject(copy_of_finished("versioned").folder)
    project.start("copy")
    project.replace("apsam/prompts/generate.py", '"""Equation 2: ', '"""The second equation: ')
    assert "apsam/prompts/generate.py" in project.dvc("status", "prompts")
    before = project.log_dates()
    prompts = {file: file.read_bytes() for file in (project.folder / RESULTS / "prompts").iterdir()}
    project.dvc("repro", "prompts")
    assert project.jobs_since(before) == [], "DVC starts the stage, and the store has the files"
    assert {file: file.read_bytes() for file in prompts} == prompts
    assert "up to date" in project.dvc("status", "prompts") and project.plan() == {}


@slow
@pytest.mark.parametrize(
    ("file", "old", "new", "stage"),
    [
        ("rules/cams.smk", "mem_mb=more(3000)", "mem_mb=more(3001)", "cams"),
        ("workflow_support/stages/localizer.py", '"""Box and point prompts."""', '"""Prompts."""', "prompts"),
        ("scripts/encode.py", '"""', '"""\n', "embeddings"),
    ],
)
def test_dvc_sees_a_changed_rule_script_and_table(
    copy_of_finished: Callable[[str], Project], file: str, old: str, new: str, stage: str
) -> None:
    project = VersionedProject(copy_of_finished("versioned").folder)
    project.start("copy")
    assert "up to date" in project.dvc("status", stage)
    text = (project.folder / file).read_text()
    assert old in text
    (project.folder / file).write_text(text.replace(old, new, 1))
    assert "modified" in project.dvc("status", stage)


def test_dvc_yaml_is_that_of_the_code() -> None:
    assert (ROOT / "dvc.yaml").read_text() == dvc_stages.render(), (
        "run: python -m workflow_support.dvc_stages > dvc.yaml"
    )


def test_every_stage_of_a_run_belongs_to_a_step() -> None:
    steps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    asked_for = {"trials", "apsam_metrics", "table1", "experiments"}
    assert {name.partition("/")[0] for name in STAGES} - asked_for == set(steps) - {"given"}
    for step in steps.values():
        for dependency in step.get("deps", []):
            assert dependency.startswith(("results/", "$")) or (ROOT / dependency).exists(), dependency
        targets = step["cmd"].partition(" -- ")[2].split()
        assert set(targets) <= set(TARGETS)
    assert dvc_stages.shown() == TRACKED, "a clone that pulled them has a folder that becomes its view"
    assert "results/store/given/${run}.json" in steps["maps"]["deps"], "elevations"
    assert {"label_gate", "cams"} <= set(steps["cams"]["params"][0]["config.yaml"])


def test_a_finished_run_has_every_output_of_dvc() -> None:
    """`dvc commit` fails on an output that is absent."""
    run = Run({**Config().model_dump(mode="json"), "scenes": str(ROOT / "scenes.tsv")})
    made = {name.partition("/")[0] for name, stage in STAGES.items() if stage.units(run)}
    assert set(dvc_stages.STEPS) - made <= set(MAY_BE_EMPTY)
