"""A small run of the whole workflow, made once with real Snakemake, and copies of it to change."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from run_keys import CODE, SHEET_HEADER, SYNTHETIC
from small_project import Project, copy_project

from workflow_support import run as run_module


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """The small run, from the start to the report. Do not change it: use `project`.

    `APSAM_FINISHED` names its folder: made if absent and kept, so that several sessions share it (`.ci/run`), or the
    sessions in which a test is written.
    """
    # Processes that share the tests share the run: the first one makes it.
    shared = tmp_path_factory.getbasetemp().parent if worker_id != "master" else tmp_path_factory.mktemp("workflow")
    folder = Path(os.environ.get("APSAM_FINISHED") or shared / "finished").absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    printed = folder.with_suffix(".log")
    with FileLock(folder.with_suffix(".lock")):
        if printed.is_file():
            return Project(folder, printed.read_text())
        project = copy_project(folder)
        project.printed = project.snakemake()
        printed.write_text(project.printed)
    return project


@pytest.fixture
def copy_of_finished(finished: Project, tmp_path: Path) -> Callable[[str], Project]:
    """Makes copies of the finished run, with dates as they are."""

    def copy(name: str) -> Project:
        shutil.copytree(finished.folder, tmp_path / name, symlinks=True)
        return Project(tmp_path / name)

    return copy


@pytest.fixture
def project(copy_of_finished: Callable[[str], Project]) -> Project:
    """A copy of the finished run to change."""
    return copy_of_finished("project")


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a scene sheet; the store and the memory are those of an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "Code", lambda memory: CODE)  # worked out once

    def write(scenes: dict[str, str] | None = None, *rows: str) -> Path:
        lines = [f"{name}\tsynthetic\tmask\t\t{split}" for name, split in (scenes or SYNTHETIC).items()]
        (tmp_path / "scenes.tsv").write_text("\n".join([SHEET_HEADER, *([] if rows else lines), *rows]) + "\n")
        return tmp_path / "scenes.tsv"

    return write
