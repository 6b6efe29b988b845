"""The lock, the conda environment and pyproject.toml agree."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from small_project import ROOT

from apsam.errors import ConfigError
from apsam.temporary_files import this_process
from workflow_support import conda_env
from workflow_support.environment import check_folder, starts_here, use_project


def test_the_conda_environments_are_those_of_the_lock() -> None:
    pyproject, lock = ((ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt"))
    for file, text in conda_env.render(pyproject, lock).items():
        assert (ROOT / file).read_text() == text, "run: make lock"


def test_environments_differ_only_in_cuda() -> None:
    pins = {}
    for file in (conda_env.CUDA, conda_env.CPU):
        listed = yaml.safe_load((ROOT / file).read_text())["dependencies"][-1]["pip"]
        pins[file] = dict(line.split("==") for line in listed if not line.startswith("--"))
    assert set(pins[conda_env.CPU]) <= set(pins[conda_env.CUDA])
    for name, version in pins[conda_env.CPU].items():
        assert version.removesuffix("+cpu") == pins[conda_env.CUDA][name]
    assert {name for name, pin in pins[conda_env.CPU].items() if pin.endswith("+cpu")} == {"torch", "torchvision"}
    requirements = map(Requirement, conda_env.job_requirements((ROOT / "pyproject.toml").read_text()))
    names = {requirement.name.replace("_", "-") for requirement in requirements}
    assert {"torch", "zarr", "geopandas", "matplotlib"} <= names <= set(pins[conda_env.CPU]), "all that jobs import"


def test_jobs_use_this_python_and_this_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}{tmp_path}")
    for _ in range(2):
        use_project(tmp_path)
    assert os.environ["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), "/elsewhere"]


def test_a_job_with_the_number_of_the_process_that_started_it_is_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on another node or in a container, where numbers begin anew."""
    monkeypatch.setenv("APSAM_STARTED_BY", "")  # else what starts_here sets would stay for other tests
    monkeypatch.delenv("APSAM_STARTED_BY")
    assert starts_here() and starts_here()
    host, number, start = this_process().rsplit("+", 2)
    for mark in (number, f"another+{number}+{start}", f"{host}+{number}+1"):
        monkeypatch.setenv("APSAM_STARTED_BY", mark)
        assert not starts_here()


def test_another_folder_than_the_projects_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As with `snakemake --snakefile`: jobs would not find their scripts."""
    (tmp_path / "project").mkdir()
    (tmp_path / "link").symlink_to("project")
    monkeypatch.chdir(tmp_path / "link")
    check_folder(tmp_path / "project")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=f"{tmp_path}: is not the folder of the workflow; start Snakemake in .*project"
    ):
        check_folder(tmp_path / "project")
