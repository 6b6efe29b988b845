"""A small run of the whole workflow, made once with real Snakemake, and copies of it to change."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_project import Project, copy_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small run, from nothing to the report. Not to be changed: take `project`.

    `APSAM_FINISHED` names the folder of an earlier one, which spares the minute it takes while a test is written.
    """
    if folder := os.environ.get("APSAM_FINISHED"):
        return Project(Path(folder))
    project = copy_project(tmp_path_factory.mktemp("workflow") / "finished")
    project.printed = project.snakemake()
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
