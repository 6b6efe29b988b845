"""Jobs that real Snakemake runs after a change: those of affected files, and no job for existing files.

Which files a change touches is tested without Snakemake in `test_keys.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from small_project import ROOT, Project

pytestmark = pytest.mark.slow

AFTER_PROMPTS = {
    "prompts": 3, "masks_apsam": 3, "masks_grabcut": 3, "resunet": 1, "predict": 1, "products": 2,
    "metrics_masks": 1, "metrics_maps": 1, "metrics_summary": 1, "metrics_checks": 1, "metrics_objects": 1,
    "report": 1,
}  # fmt: skip


# The inputs of a workflow, as in rules/common.smk, and jobs that live on after their output is there.
KILLED = """
rule all:
    input: ancient(["c1.txt", "c2.txt"])

rule a:
    output: "a{n}.txt"
    shell: "echo made > {output}; sleep 4"

rule c:
    input: ancient("a{n}.txt")
    output: "c{n}.txt"
    shell: "cp {input} {output}"
"""


def test_a_run_after_a_kill_makes_everything(tmp_path: Path) -> None:
    """With `rerun-incomplete`, Snakemake makes only the file that it doubts, and reports success."""
    (tmp_path / "Snakefile").write_text(KILLED)
    shutil.copytree(ROOT / "profiles/default", tmp_path / "profiles/default")
    project = Project(tmp_path)
    command = ["snakemake", "--cores", "1", "--forcerun"]
    with subprocess.Popen(command, cwd=tmp_path, env=project.environment(), start_new_session=True) as killed:
        while not any((tmp_path / f"a{number}.txt").exists() for number in (1, 2)):
            assert killed.poll() is None
            time.sleep(0.1)
        os.killpg(killed.pid, signal.SIGKILL)
    project.snakemake("--forcerun")
    assert [(tmp_path / f"c{number}.txt").read_text() for number in (1, 2)] == ["made\n"] * 2


def test_there_and_back(project: Project) -> None:
    before = project.results()
    assert project.plan() == {}
    project.configure("prompts", threshold=90)
    assert project.plan() == AFTER_PROMPTS
    project.snakemake("all_prompts")
    assert project.plan("all_prompts") == {}
    changed = project.results()
    assert changed["small/prompts/west.json"] != before["small/prompts/west.json"]
    assert "small/masks/apsam/west.zarr.zip" not in changed, "the view shows nothing of another threshold"
    project.configure("prompts", threshold=120)
    assert project.plan() == {}
    project.snakemake()
    after = project.results()
    assert {name: after[name] for name in before} == before, "the view is that of 120 again, and nothing ran"


def test_dates_records_copies_and_resources_are_ignored(project: Project, tmp_path: Path) -> None:
    now = time.time()
    for number, file in enumerate(sorted(project.folder.rglob("*"), reverse=True)):
        os.utime(file, (now + number, now + number), follow_symlinks=False)
    shutil.rmtree(project.folder / ".snakemake")
    shutil.copytree(project.folder, tmp_path / "clone", copy_function=shutil.copyfile)
    clone = Project(tmp_path / "clone")
    clone.replace("rules/encode.smk", "mem_mb=more(8000)", "mem_mb=9000")
    clone.replace("apsam/prompts/generate.py", '"""Equation 2: ', '"""The second equation: ')
    clone.replace("config.yaml", "run:", "# a comment\nrun:")
    assert clone.plan("--set-threads", "localizer=1", "--set-resources", "resunet:runtime=5") == {}


def test_unneeded_file_is_made_on_demand(project: Project) -> None:
    shutil.rmtree(project.folder / "results/store/cams")
    assert project.plan() == {}
    project.configure("prompts", threshold=77)
    assert project.plan("all_prompts") == {"cams": 3, "prompts": 3}


def test_an_added_held_out_scene_runs_its_own_jobs_and_the_tables(project: Project) -> None:
    with (project.folder / "config/small_scenes.tsv").open("a") as sheet:
        sheet.write("east\tsynthetic\tmask\t\ttest\n")
    one = (
        "synthesize",
        "tile",
        "ground_labels",
        "encode",
        "cams",
        "prompts",
        "masks_apsam",
        "masks_cam",
        "masks_grabcut",
    )
    metrics = ("metrics_masks", "metrics_maps", "metrics_summary", "metrics_checks", "metrics_objects")
    tables = ("localizer_metrics", *metrics, "report")
    assert project.plan() == {**dict.fromkeys([*one, *tables], 1), "predict": 2, "products": 2}


def test_a_changed_library_function_runs_the_stages_that_use_it(project: Project) -> None:
    project.replace("apsam/masks/grabcut.py", "inside.sum() < 16", "inside.sum() < 17")
    assert project.plan() == {"masks_grabcut": 3, "metrics_masks": 1, "metrics_summary": 1, "report": 1}


def test_dry_run_writes_nothing(project: Project) -> None:
    (project.folder / ".snakemake/locks").mkdir(parents=True, exist_ok=True)
    (project.folder / ".snakemake/locks/0.input.lock").write_text("of somebody else\n")
    project.configure("prompts", threshold=90)
    project.plan()  # what it remembers is written now

    def tree() -> dict[str, tuple[int, int, int]]:
        """Everything but Snakemake's own log and cache, and the memory."""
        states = project.tree().items()
        left_out = (".snakemake", ".pytest_cache")
        return {
            name: state
            for name, state in states
            if "__pycache__" not in name and (not name.startswith(left_out) or name.startswith(".snakemake/locks"))
        }

    before = tree()
    for arguments in (["--dry-run"], ["--lint"], ["--rulegraph"], ["--summary"]):
        project.snakemake(*arguments)
        assert tree() == before, arguments


def test_a_plain_name_makes_the_file_of_this_configuration(project: Project) -> None:
    target = "results/small/prompts/west.json"
    project.configure("prompts", threshold=90)
    before = (project.folder / target).read_bytes()
    project.snakemake("--", target)
    assert (project.folder / target).read_bytes() != before
    printed = project.snakemake("--", "results/small/prompts/wst.json", check=False)
    assert "did you mean results/small/prompts/west.json" in printed


def test_an_edited_file_is_named_and_kept(project: Project) -> None:
    file = project.folder / "results/small/maps/apsam/west.gpkg"
    file.write_bytes(b"my own polygons")
    assert "results/small/maps/apsam/west.gpkg was changed by hand; it stays" in project.snakemake()
    assert file.read_bytes() == b"my own polygons"
    (stored,) = (project.folder / "results/store/prompts").glob("west.*/west.json")
    stored.write_text("{}")
    assert "west.json is not what the workflow made" in project.snakemake()
    printed = project.run("apsam", "store", "verify", check=False)
    assert f"{stored}: changed since it was made" in printed and "1 files have changed since they were made" in printed


def test_results_of_an_earlier_version_are_refused_and_not_touched(project: Project) -> None:
    shutil.move(project.folder / "results/small", project.folder / "results/old")
    (project.folder / "results/small/.provenance").mkdir(parents=True)
    (project.folder / "results/small/maps.tif").write_text("old")
    before = project.tree()
    printed = project.snakemake(check=False)
    assert "results/small: contains results of an earlier version of apsam" in printed and "Traceback" not in printed
    assert {n: s for n, s in project.tree().items() if "results" in n} == {
        n: s for n, s in before.items() if "results" in n
    }
