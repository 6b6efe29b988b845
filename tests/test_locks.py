"""A killed run's lock is released; one that somebody may hold is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from apsam.leftovers import this_process
from workflow_support.locks import LOCKS, RUNS, release_stale_lock

HOST, NUMBER, START = this_process().rsplit("+", 2)
RUNNING, GONE, ELSEWHERE = this_process(), f"{HOST}+{NUMBER}+{int(START) + 1}", f"{HOST}2+{NUMBER}+{START}"


@pytest.fixture(autouse=True)
def no_exit_handlers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("atexit.register", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("entered", "released"),
    [
        ([GONE], True),
        ([GONE, GONE.replace("+", "+1", 1)], True),
        ([GONE, RUNNING], False),
        ([GONE, ELSEWHERE], False),
        ([], False),
    ],
)
def test_a_lock_is_released_where_nobody_can_hold_it(entered: list[str], released: bool) -> None:
    LOCKS.mkdir(parents=True)
    (LOCKS / "0.output.lock").write_text("results/a\n")
    RUNS.mkdir()
    for name in entered:
        (RUNS / name).touch()
    assert release_stale_lock() is released
    assert LOCKS.exists() is not released
    assert {entry.name for entry in RUNS.iterdir()} == {RUNNING, *(name for name in entered if name == ELSEWHERE)}


def test_entries_without_a_lock_are_forgotten() -> None:
    RUNS.mkdir(parents=True)
    for name in (GONE, ELSEWHERE):
        (RUNS / name).touch()
    assert release_stale_lock() is False
    assert [entry.name for entry in RUNS.iterdir()] == [RUNNING]
