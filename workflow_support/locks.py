"""Release Snakemake's lock of a run that was killed.

Snakemake locks the files of a run in `.snakemake/locks`, and a process that is killed leaves the lock: the next run
then stops and asks for `--unlock`, without saying who holds it. So every run enters its process in
`.snakemake/apsam_runs`. A lock is released where all that are entered ran on this machine and run no more.
"""

from __future__ import annotations

import atexit
import shutil
import sys
from pathlib import Path

from apsam.leftovers import process_state, this_process

LOCKS = Path(".snakemake/locks")
RUNS = Path(".snakemake/apsam_runs")


def release_stale_lock() -> bool:
    """Enter this process among the runs; release the lock if nobody can hold it.

    Returns:
        Whether there was a lock to release.
    """
    entries = {entry: process_state(entry.name) for entry in RUNS.iterdir()} if RUNS.is_dir() else {}
    locked = LOCKS.is_dir() and any(LOCKS.iterdir())
    released = locked and bool(entries) and set(entries.values()) == {"gone"}
    if released:
        shutil.rmtree(LOCKS)
        print("apsam: released the lock of a run that was killed", file=sys.stderr)
    for entry, state in entries.items():
        # Without a lock nothing runs, wherever it was started: that entry was left behind too.
        if state == "gone" or (state == "elsewhere" and not locked):
            entry.unlink(missing_ok=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    own = RUNS.resolve() / this_process()
    own.touch()
    atexit.register(own.unlink, missing_ok=True)
    return released
