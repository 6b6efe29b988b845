"""The lock of a store: one run of the workflow at a time, or one clean-up.

Snakemake's own lock remains when a process is killed, and must be removed by hand. This one is a kernel lock
(flock), which ends with its process. profiles/default switches Snakemake's off.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from apsam.errors import InputError, OutputError
from apsam.files import atomic_path

LOCK, HOLDER = ".lock", ".lock_holder"


def take_lock(store: Path) -> FileLock:
    """Take the lock of a store, until it is released or the process ends.

    Raises:
        InputError: Another process has the lock.
        OutputError: The folder cannot be written to, or its file system has no locks.
    """
    lock = FileLock(store / LOCK)
    try:
        store.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{store}: in use {_holder(store)}; wait until that ends, or stop it") from None
    except (OSError, NotImplementedError) as error:
        raise OutputError(
            f"{store}: cannot be locked ({getattr(error, 'strerror', None) or error}); it must be a folder that you "
            f"can write to, on a file system with locks (flock; of NFS and Lustre, an option of the mount)"
        ) from error
    with atomic_path(store / HOLDER) as partial:
        partial.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
    return lock


def _holder(store: Path) -> str:
    try:
        return f"by {(store / HOLDER).read_text().strip()}"
    except OSError:
        return "on another machine"
