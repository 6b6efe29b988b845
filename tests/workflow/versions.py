"""The small run with the oldest, a middle and the newest supported Snakemake (`make test-versions`).

Each is installed into an environment of its own that sees all other packages of this one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from small_project import ROOT, Project

VERSIONS = ("9.0.0", "9.14.0", "newest")


def environment(folder: Path, version: str) -> Path:
    """An environment in which only Snakemake differs; returns its folder of programs."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    wanted = "snakemake>=9,<10" if version == "newest" else f"snakemake=={version}"
    python = folder / "bin/python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, wanted], check=True)
    # Everything else comes from the environment of this test; what is installed here goes first.
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


def test_the_range_of_versions_is_stated_once() -> None:
    (lowest,) = re.findall(r'min_version\("([\d.]+)"\)', (ROOT / "Snakefile").read_text())
    (highest,) = re.findall(r'"snakemake>=([\d.]+),<10"', (ROOT / "pyproject.toml").read_text())
    assert lowest == highest == VERSIONS[0].removesuffix(".0")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_supported_snakemake(copy_of_finished: Callable[[str], Project], tmp_path: Path, version: str) -> None:
    programs = environment(tmp_path / "environment", version)
    project = copy_of_finished("project")

    def snakemake(*arguments: str) -> str:
        path = f"{programs}{os.pathsep}{project.environment()['PATH']}"
        return project.run(str(programs / "snakemake"), "--cores", "2", *arguments, PATH=path)

    which = "import snakemake; print(snakemake.__version__, snakemake.__file__)"
    printed = project.run(str(programs / "python"), "-c", which)
    assert str(tmp_path) in printed and (version == "newest" or printed.startswith(version))
    assert "0 jobs made now" in snakemake(), "the run of another Snakemake is this one's too"
    project.configure("prompts", threshold=90)
    expected = sum(project.plan().values())
    assert expected > 10 and f"{expected} jobs made now" in snakemake()
    assert "0 jobs made now" in snakemake()
    assert project.plan() == {}, "and the other way round"
