"""The lock, the conda environment and pyproject.toml say the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from small_project import ROOT

from workflow_support import conda_env
from workflow_support.environment import use_project


def test_the_conda_environment_is_that_of_the_lock() -> None:
    pyproject, lock = ((ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt"))
    assert (ROOT / "envs/apsam.yaml").read_text() == conda_env.render(pyproject, lock), "run: make lock"


def test_jobs_use_this_python_and_this_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}{tmp_path}")
    for _ in range(2):
        use_project(tmp_path)
    assert os.environ["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), "/elsewhere"]
