"""The lock of a store: one run of the workflow at a time, or one clean-up.

Snakemake's own lock remains when a process is killed, and must be removed by hand. This one is a kernel lock
(flock), which ends with its process. profiles/default switches Snakemake's off.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from apsam.errors import InputError
from apsam.files import atomic_path

LOCK, HOLDER = ".lock", ".lock_holder"


def take_lock(store: Path) -> FileLock:
    """Take the lock of a store, until it is released or the process ends.

    Raises:
        InputError: Another process has the lock.
    """
    store.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{store}: in use {_holder(store)}; wait until that ends, or stop it") from None
    with atomic_path(store / HOLDER) as partial:
        partial.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
    return lock


def _holder(store: Path) -> str:
    try:
        return f"by {(store / HOLDER).read_text().strip()}"
    except OSError:
        return "on another machine"
