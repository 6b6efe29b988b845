"""Files are complete or absent, the same for the same content, and readable for others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apsam.errors import InputError, OutputError
from apsam.files import atomic_path, read_json, scratch_folder, sha256_file, write_json
from apsam.temporary_files import process_state, this_process


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "map.tif"
    file.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(file) as partial:
        partial.write_text("half")
        raise RuntimeError("killed")
    assert file.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir()] == ["map.tif"]


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="out: is a folder; name the file to write"):
        write_json(tmp_path / "out", {})
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_the_temporary_name_keeps_the_suffixes(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "new" / "a.zarr.zip") as partial:
        assert partial.name.endswith("a.zarr.zip")
        partial.write_text("x")
    assert (tmp_path / "new" / "a.zarr.zip").read_text() == "x"


def test_temporary_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "a.zarr.zip"
    half = f"""
import os, signal, sys
from pathlib import Path
from apsam.files import atomic_path, scratch_folder
with scratch_folder({str(file)!r}, "chunks") as folder, atomic_path({str(file)!r}) as partial:
    (folder / "c0").write_text("x")
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", half]).returncode == -signal.SIGKILL
    left = sorted(path.name.rpartition("-")[2] for path in tmp_path.iterdir())
    assert left == ["a.zarr.zip", "a.zarr.zip.chunks"] and not file.exists()
    with atomic_path(tmp_path / "other.json") as partial, scratch_folder(file, "chunks") as folder:
        partial.write_text("{}")
        at_work = {partial, folder}
        assert set(tmp_path.iterdir()) == at_work, "what a running process makes stays"
        with atomic_path(tmp_path / "third.json") as third:
            third.write_text("{}")
        assert set(tmp_path.iterdir()) == {*at_work, tmp_path / "third.json"}


def test_temporary_file_of_another_machine_is_removed_for_the_same_file(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / f".partial-another-node.example+17+4711-{name}").write_text("half")
    with atomic_path(tmp_path / "a.json") as partial:
        partial.write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".partial-another-node.example+17+4711-b.json",
        "a.json",
    ]


def test_process_names_are_unique() -> None:
    assert process_state(this_process()) == "running"
    host, number, start = this_process().rsplit("+", 2)
    assert process_state(f"{host}+{number}+{int(start) + 1}") == "gone", "the number of a process is used again"
    assert process_state(f"{host}2+{number}+{start}") == "elsewhere"


def test_a_writers_private_file_becomes_one_by_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "weights.safetensors") as partial:
            partial.touch(mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "weights.safetensors").stat().st_mode & 0o777 == 0o640


def test_json_is_the_same_for_the_same_value(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5]})
    write_json(tmp_path / "b.json", {"a": [1.5], "b": 1})
    assert sha256_file(tmp_path / "a.json") == sha256_file(tmp_path / "b.json")
    assert read_json(tmp_path / "a.json") == {"a": [1.5], "b": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "c.json", float("nan"))
    assert not (tmp_path / "c.json").exists()


def test_invalid_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"broken\.json: not a JSON file"):
        read_json(tmp_path / "broken.json")
