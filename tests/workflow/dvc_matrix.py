"""Real DVC at length: every kind of cache, experiments, metrics, plots, your own scenes (`make test-dvc`)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_scenes import write_tiles
from small_project import Project, copy_project
from test_dvc import check_there_and_back, push_and_clone
from versioned_project import RESULTS, VersionedProject

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("cache", ["copy", "hardlink", "symlink"])
def test_there_and_back_with_every_kind_of_cache(
    copy_of_finished: Callable[[str], Project], tmp_path: Path, cache: str
) -> None:
    project = VersionedProject(copy_of_finished(f"versioned-{cache}").folder)
    project.start(cache)
    data = sum(file.stat().st_size for file in (project.folder / "results/store").rglob("*"))
    if cache != "copy":
        project.snakemake()  # no job; large files of the view become links again
        assert project.disk_bytes() < 1.3 * data, "store, view and cache name the same files"
    check_there_and_back(project)
    clone = push_and_clone(project, tmp_path)
    assert clone.plan() == {}
    clone.dvc("config", "cache.type", cache)
    clone.dvc("checkout", "--relink", "--quiet")
    clone.snakemake()
    assert clone.plan() == {} and clone.thresholds() == {120}
    assert project.cache_is_sound() and clone.cache_is_sound()


def test_experiments(copy_of_finished: Callable[[str], Project]) -> None:
    project = VersionedProject(copy_of_finished("experiments").folder)
    project.start("hardlink")
    before = project.log_dates()
    project.dvc("exp", "run", "-S", "grabcut.iterations=1", "--name", "one", "metrics")
    logs = project.folder / "logs"
    ran = {Path(file).relative_to(logs).parent.as_posix() for file in project.jobs_since(before)}
    assert ran == {"masks/grabcut", "metrics/pseudo_masks", "metrics/summary"}, "DVC's stages are coarse, jobs are not"
    assert project.plan("all_metrics") == {}
    difference = json.loads(project.dvc("metrics", "diff", "HEAD", "--json"))
    changed = difference[f"{RESULTS}/metrics/summary.json"]
    assert changed["masks.held_out.grabcut.iou"]["diff"] != 0
    assert not any(key.startswith(("masks.held_out.apsam", "resunet")) for key in changed)

    # Elsewhere, from the commit of the workspace: nothing here changes.
    project.dvc("exp", "run", "--temp", "-S", "prompts.threshold=60", "--name", "sixty", "prompts")
    project.dvc("exp", "run", "--queue", "-S", "prompts.threshold=90", "--name", "ninety", "prompts")
    project.dvc("exp", "run", "--queue", "-S", "sam.window=null", "--name", "nothing", "prompts")
    project.dvc("exp", "run", "--run-all")
    assert project.thresholds() == {120}
    table = {row["Experiment"]: row for row in csv.DictReader(io.StringIO(project.dvc("exp", "show", "--csv")))}
    column = next(
        name for name in table["sixty"] if name.endswith("prompts.threshold") and table["sixty"][name] == "60"
    )
    assert table["ninety"][column] == "90" and table["one"][column] not in ("60", "90")
    assert table["one"]["masks.held_out.grabcut.iou"]

    project.dvc("plots", "show")
    page = (project.folder / "dvc_plots/index.html").read_text()
    assert "Training of the localizer" in page and "Training of the ResUNets" in page

    # To one of them and back: nothing runs, whoever looks.
    project.dvc("exp", "apply", "sixty")
    assert project.plan("all_prompts") == {}
    project.snakemake("all_prompts")
    assert project.thresholds() == {60}
    project.git("checkout", "--force", "--quiet", "HEAD")
    project.dvc("checkout", "--force", "--quiet")
    assert project.plan() == {}
    project.snakemake()
    assert project.thresholds() == {120}
    assert project.cache_is_sound()


def test_users_own_scenes(tmp_path: Path) -> None:
    project = VersionedProject(copy_project(tmp_path / "own").folder)
    rng = np.random.default_rng(1)
    for part, tiles in (("train", 6), ("test", 2)):
        write_tiles(project.folder / "raw" / part, tiles, rng)
    rows = [f"{part}\t{part}/images\t{part}/labels.csv\t{part}/masks\t{part}" for part in ("train", "test")]
    (project.folder / "raw/scenes.tsv").write_text("\n".join(["scene\timage\tlabels\tmask\tsplit", *rows]) + "\n")
    project.replace("config.yaml", "scenes: config/small_scenes.tsv", "scenes: config/own.tsv")
    project.replace("config.yaml", "data_dir: null", "data_dir: raw")
    (project.folder / "raw/scenes.tsv").rename(project.folder / "config/own.tsv")
    project.git("init", "--quiet")
    project.dvc("add", "--quiet", "raw")
    project.dvc("repro", "prompts")
    assert "up to date" in project.dvc("status", "prompts")
    given = json.loads((project.folder / "results/store/given/small.json").read_text())
    assert set(given) == {
        f"raw/{part}/{kind}" for part in ("train", "test") for kind in ("images", "labels.csv", "masks")
    }
    project.record("own scenes")

    clone = push_and_clone(project, tmp_path, "--with-deps", "prompts", "raw.dvc")
    assert clone.plan("all_prompts") == {}
    write_tiles(clone.folder / "raw/train", 7, rng)
    assert clone.plan("all_tiles") == {"tile": 1}
    clone.dvc("repro", "tiles")
    assert clone.plan("all_tiles") == {}, "DVC saw it too, with nothing added to dvc.yaml"
