"""The wheel contains the package with its data, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "apsam", source / "apsam", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "tests").mkdir()
    (source / "tests/__init__.py").touch()
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(output), str(source)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(output.glob("*.whl")))


def test_wheel_contains_the_package_and_its_data(wheel: zipfile.ZipFile):
    sources = {file.relative_to(ROOT).as_posix() for file in (ROOT / "apsam").rglob("*") if file.is_file()}
    wanted = {name for name in sources if "__pycache__" not in name}
    found = set(wheel.namelist())
    assert {name for name in found if not name.startswith("apsam-")} == wanted
    assert {"apsam/py.typed", "apsam/sam/weights/light_sam.safetensors", "apsam/labelling/static/page.js"} <= found


def test_the_wheel_names_its_command_and_extras(wheel: zipfile.ZipFile):
    [metadata] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    text = wheel.read(metadata).decode()
    for extra in ("maps", "train", "report", "workflow", "dvc", "hub", "dev"):
        assert f"Provides-Extra: {extra}\n" in text
    assert b"apsam = apsam.cli:main" in wheel.read(metadata.replace("METADATA", "entry_points.txt"))
