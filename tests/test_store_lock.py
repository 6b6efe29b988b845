"""The lock of a store, on file systems that have none."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import NoReturn

import pytest

from apsam.errors import OutputError
from apsam.store.lock import take_lock


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> NoReturn:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OutputError, match=r"store: cannot be locked \(No locks available\); it must be"):
        take_lock(tmp_path / "store")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file\n")
    with pytest.raises(OutputError, match=r"results/store: cannot be locked \(Not a directory\); it must be"):
        take_lock(tmp_path / "results/store")
