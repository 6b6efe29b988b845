"""The store of a finished run: provenance of a file, sizes, removal of unused files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from small_project import Project

pytestmark = pytest.mark.slow


def test_provenance_names_settings_inputs_code_and_packages(finished: Project) -> None:
    view = "results/small/masks/apsam/west.zarr.zip"
    described = json.loads(finished.run("apsam", "provenance", view, "--json"))
    assert described["state"] == "as made" and described["settings"]["masks"]["prompts"] == "both"
    assert {name.partition("/")[0] for name in described["inputs"]} == {
        *("tiles", "ground", "cams", "prompts", "embeddings")
    }
    assert all(len(checksum) == 64 for checksum in described["inputs"].values())
    assert described["code"] and described["packages"]["torch"] and described["seconds"] > 0
    assert described["command"].startswith("scripts/masks.py masks-apsam --tiles results/store/tiles/west.")
    (stored,) = (finished.folder / "results/store/masks/apsam").glob("west.*/west.zarr.zip")
    again = json.loads(finished.run("apsam", "provenance", str(stored), "--json"))
    assert again["key"] == described["key"]
    chain = json.loads(finished.run("apsam", "provenance", view, "--json", "--upstream"))
    stages = [job["stage"] for job in chain]
    assert stages[-1] == "masks/apsam" and {"scenes", "tiles", "localizer", "cams", "embeddings"} <= set(stages)
    assert stages.index("tiles") < stages.index("localizer") < stages.index("cams")
    text = finished.run("apsam", "provenance", view)
    assert "state: as made" in text and "apsam 0." in text and "lightning 2." in text


def test_every_file_has_a_correct_recipe(finished: Project) -> None:
    assert "0 files have changed since they were made" in finished.run("apsam", "store", "verify")
    listed = finished.run("apsam", "store", "list")
    assert "masks/apsam" in listed and "small" in listed


def test_prune_keeps_views_what_they_were_made_from_and_the_newest(project: Project) -> None:
    project.configure("prompts", threshold=90)
    project.snakemake("all_prompts")
    before = project.results()
    assert "0 jobs' files removed" in project.run("apsam", "store", "prune", "--newest", "2")
    printed = project.run("apsam", "store", "prune", "--newest", "0", "--dry-run")
    assert "would be removed" in printed and project.results() == before
    project.run("apsam", "store", "prune", "--newest", "0")
    left = project.results()
    assert {name for name in before if name.startswith("small/")} <= set(left)
    assert len([name for name in left if name.startswith("store/prompts/west.") and name.endswith(".json")]) == 1
    assert not any(name.startswith("store/masks/apsam") for name in left)
    assert project.plan("all_prompts") == {}


def test_prune_is_refused_while_a_workflow_runs(project: Project) -> None:
    project.configure("localizer", epochs=50)
    running = subprocess.Popen(
        ["snakemake", "--cores", "1", "all_localizer"],
        cwd=project.folder, env=project.environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert any("Select jobs" in line for line in running.stderr)
        assert "in use by process" in project.run("apsam", "store", "prune", check=False)
        second = project.snakemake("--", "all_prompts", check=False)
        assert "results/store: in use by process" in second and "Traceback" not in second
        assert project.plan("all_scenes") == {}, "looking needs no lock"
    finally:
        running.kill()
        running.wait()
    project.snakemake("--", "all_tiles")  # the lock ended with its process


def test_runs_share_the_store(project: Project) -> None:
    project.replace("config.yaml", "run: small", "run: other")
    assert project.plan() == {"report": 1}
    project.snakemake("all_maps")
    (stored,) = (project.folder / "results/store/maps/apsam").glob("west.*/west_mask.tif")
    assert stored.samefile(project.folder / "results/other/maps/apsam/west_mask.tif")
    assert sorted(path.name for path in Path(project.folder / "results").iterdir()) == ["other", "small", "store"]
