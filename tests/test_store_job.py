"""A command as a job of the workflow: its files, its recipe, and the code that its key is of."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from apsam.code_hash import PACKAGE_ROOT, code_hash
from apsam.errors import InputError
from apsam.input_content import content_digest, files_of
from apsam.resunet.settings import ResUNetSettings
from apsam.scenes import Scene
from apsam.store import job as job_module
from apsam.store.job import STARTED_AT, job_arguments
from apsam.store.recipe import read_recipe, write_recipe
from apsam.store.view import MANIFEST, stored_file
from apsam.temporary_files import this_process
from workflow_support import environment

KEY = "0123456789ab"


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a store, of the current folder."""
    monkeypatch.chdir(tmp_path)
    file = Path(f"results/store/prompts/west.{KEY}/west.json")
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    write_recipe(file.parent, {"stage": "prompts", "view": "prompts", "unit": "west", "key": KEY}, [], {"seconds": 1})
    return file


def job(folder: Path, **known: Any) -> list[str]:
    folder.mkdir(parents=True)
    facts = {"folder": str(folder), "stage": "report", "unit": "all", "key": KEY, "view": "report", "code": "x"}
    return ["--recipe", json.dumps({**facts, **known})]


@pytest.mark.parametrize("piped", [False, True])
def test_files_have_plain_names_and_are_in_the_recipe(
    stored: Path, monkeypatch: pytest.MonkeyPatch, piped: bool
) -> None:
    folder = Path(f"results/store/report/all.{KEY}")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{stored}\n"))
    arguments = ["@files", "--output", f"{folder}/index.html", *job(folder), "--files", "-" if piped else str(stored)]
    with job_arguments(arguments) as plain:
        assert Path(plain[0], "prompts/west.json").read_text() == "{}" and plain[1:] == arguments[1:3]
        Path(plain[2]).write_text("page")
    recipe = read_recipe(folder)
    assert list(recipe["inputs"]) == [f"prompts/west.{KEY}/west.json"] and "-" not in recipe["command"].split()


def test_code_that_was_changed_while_the_run_goes_is_refused(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = code_hash(PACKAGE_ROOT / "commands/prompts.py", definition="prompts")
    hours = {"later": time.time() + 3600, "earlier": 0.0}
    for number, (started, known, refused) in enumerate(
        [("later", "other", False), ("earlier", code, False), ("earlier", "other", True)]
    ):
        monkeypatch.setenv(STARTED_AT, str(hours[started]))
        folder = Path(f"results/store/prompts/u{number}.{KEY}")
        arguments = job(folder, entry="prompts", code=known)
        if refused:
            with pytest.raises(InputError, match="code of this job was changed"), job_arguments(arguments):
                pass
        else:
            with job_arguments(arguments):
                (folder / "a.json").write_text("{}")
        assert (folder / "recipe.json").exists() != refused


def test_code_that_was_copied_with_its_date_while_the_run_goes_is_refused(
    stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As by `rsync -a` or from an archive: the date of the content is that of the edit."""
    shutil.copytree(PACKAGE_ROOT, tmp_path / "apsam", ignore=shutil.ignore_patterns("__pycache__", "weights"))
    monkeypatch.setattr(job_module, "PACKAGE_ROOT", tmp_path / "apsam")
    monkeypatch.setenv(STARTED_AT, str(time.time()))
    time.sleep(0.05)
    copied = tmp_path / "apsam/commands/prompts.py"
    copied.write_text(copied.read_text())
    os.utime(copied, (0, 0))
    arguments = job(Path(f"results/store/prompts/old.{KEY}"), entry="prompts", code="other")
    with pytest.raises(InputError, match="code of this job was changed"), job_arguments(arguments):
        pass


def test_a_command_that_is_run_by_hand_is_not_compared_with_a_start(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a training on several nodes, with the command that Snakemake prints."""
    monkeypatch.delenv(STARTED_AT, raising=False)
    folder = Path(f"results/store/tiles/a.{KEY}")
    known = {"given": {str(stored): "other"}, "given_files": {str(stored): 2}, "entry": "prompts", "code": "other"}
    with job_arguments(job(folder, **known)):
        pass
    assert read_recipe(folder)["given"] == known["given"]


def test_the_lock_of_an_editor_is_no_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".#errors.py").symlink_to("me@here.123")
    monkeypatch.setattr(job_module, "PACKAGE_ROOT", tmp_path)
    monkeypatch.setenv(STARTED_AT, str(time.time()))
    job_module.check_code("prompts", "any")


@pytest.mark.parametrize(
    "change", ["none", "content", "older content", "date", "log", "added", "removed", "world file", "before"]
)
def test_data_that_are_changed_while_the_run_goes_are_refused(
    stored: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    Path("images").mkdir()
    for file in ("labels.csv", "images/1.png", "images/2.png", "a.tif", "a.tfw", "a.tif-wal"):
        Path(file).write_text("" if file.endswith("-wal") else "as it was")
    paths = [Path("labels.csv"), Path("images"), Path("a.tif")]
    given = {str(path): content_digest(path) for path in paths}
    numbers = {str(path): len(files_of(path)) for path in paths}
    given["201 files"] = "their digest"
    monkeypatch.setenv(STARTED_AT, str(time.time()))
    time.sleep(0.05)
    folder = Path(f"results/store/tiles/a.{KEY}")
    arguments = job(folder, given=given, given_files=numbers)

    def meanwhile() -> None:
        match change:
            case "content" | "older content" | "before":
                Path("labels.csv").write_text("as it is!")
                if change == "older content":
                    os.utime("labels.csv", (0, 0))
            case "date":
                Path("labels.csv").touch()
            case "added":
                Path("images/3.png").write_text("a tile")
            case "removed":
                Path("images/2.png").unlink()
            case "world file":
                Path("a.tfw").unlink()
            case "log":  # empty, of a database that was closed
                Path("a.tif-wal").unlink()

    if change in ("none", "date", "log"):
        with job_arguments(arguments):
            meanwhile()
        assert read_recipe(folder)["given"] == given and "given_files" not in read_recipe(folder)
    elif change == "before":
        meanwhile()
        with pytest.raises(InputError, match="was changed since the run started"), job_arguments(arguments):
            pytest.fail("the job works for nothing")
    else:
        with pytest.raises(InputError, match="was changed since the run started"), job_arguments(arguments):
            meanwhile()
        assert not (folder / "recipe.json").exists()


def test_a_project_in_a_folder_called_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "store" / "project"
    (project / "results/demo/tiles").mkdir(parents=True)
    file = "results/store/tiles/a.0123456789ab/a.zarr.zip"
    manifest = {"files": {"tiles/a.zarr.zip": {"file": file}}}
    (project / "results/demo" / MANIFEST).write_text(json.dumps(manifest))
    monkeypatch.chdir(project)
    assert stored_file(Path("results/demo/tiles/a.zarr.zip")) == project / file
    assert stored_file(Path(file)) == project / file
    with pytest.raises(InputError, match="neither in a store"):
        stored_file(Path("README.md"))


def test_jobs_know_what_the_process_that_started_them_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APSAM_FOUND", raising=False)
    monkeypatch.setenv("APSAM_STARTED_BY", this_process())
    assert environment.settled("APSAM_FOUND", lambda: ["one"]) == ["one"]
    assert environment.settled("APSAM_FOUND", lambda: ["two"]) == ["two"], "it may ask again"
    monkeypatch.setenv("APSAM_STARTED_BY", "1")
    assert environment.settled("APSAM_FOUND", lambda: ["three"]) == ["two"]


def test_the_best_epoch_is_chosen_on_all_training_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stack has a folder of its own in the store."""
    from apsam.commands.resunet import resunet
    from apsam.metrics import scene as measured
    from apsam.resunet import train

    stacks = [tmp_path / f"tiles/{name}.{KEY}/{name}.zarr.zip" for name in "abc"]
    masks = [tmp_path / f"masks/{name}.{KEY}/{name}.zarr.zip" for name in "abc"]

    def found(_: Path, __: Path | None, folder: Path, ___: Path) -> list[measured.MeasuredScene]:
        """Of all scenes of the sheet, `d` is not trained on and `b` has no mask."""
        scenes = [Scene(name, "raster", None, None, None, "train") for name in "acd"]
        return [measured.MeasuredScene(scene, folder / f"{scene.name}.zarr.zip") for scene in scenes]

    monkeypatch.setattr(measured, "measured_scenes", found)
    given: list[list[Path]] = []
    monkeypatch.setattr(train, "train_resunet", lambda *a: given.append([one.tiles for one in a[-1]]))
    settings = ResUNetSettings(keep="best_on_labels")
    resunet([*stacks, *masks], tmp_path / "w.safetensors", tmp_path / "h.json", settings, 1, tmp_path / "scenes.tsv")
    assert given == [[stacks[0], stacks[2]]]
