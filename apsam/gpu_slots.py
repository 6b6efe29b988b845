"""Spread the jobs of one machine over its GPUs.

Snakemake counts GPUs but does not assign one to each job, so that all jobs would use the first. Here each
process claims one by locking a file named after it, and sees only this GPU from then on. The kernel releases the
lock when the process ends for any reason. A scheduler that assigns GPUs (SLURM) sets `CUDA_VISIBLE_DEVICES`
itself; then no GPU is claimed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from itertools import count
from pathlib import Path
from typing import IO

VARIABLE = "CUDA_VISIBLE_DEVICES"

# Processes started by Lightning or torchrun divide the GPUs among themselves.
RANK_VARIABLES = ("LOCAL_RANK", "SLURM_PROCID")

_log = logging.getLogger(__name__)
_claimed: list[IO[str]] = []


def use_one_gpu(devices: Path = Path("/dev"), locks: Path | None = None) -> None:
    """Restrict this process to the least used of several GPUs, unless a GPU is already assigned to it.

    Must be called before CUDA starts. Does nothing on a machine with one GPU or none.

    Args:
        devices: Folder with the device files `nvidia0`, `nvidia1`, ...
        locks: Folder for the locks; by default a folder of this user in the folder for temporary files.
    """
    gpus = len([file for file in devices.glob("nvidia*") if file.name.removeprefix("nvidia").isdigit()])
    if gpus < 2 or VARIABLE in os.environ or any(variable in os.environ for variable in RANK_VARIABLES):
        return
    gpu, lock = claim_gpu(gpus, locks or Path(tempfile.gettempdir()) / f"apsam-gpus-{os.getuid()}")
    _claimed.append(lock)
    os.environ[VARIABLE] = str(gpu)
    _log.info("device: GPU %d of 0 to %d (set %s to choose)", gpu, gpus - 1, VARIABLE)


def claim_gpu(gpus: int, locks: Path) -> tuple[int, IO[str]]:
    """Claim a GPU that no other process has claimed, or the one with the fewest claims.

    Args:
        gpus: Number of GPUs.
        locks: Folder for the locks; made if it is missing.

    Returns:
        The GPU's number, and the locked file: the claim lasts until it is closed.
    """
    locks.mkdir(parents=True, exist_ok=True)
    for sharers in count():
        for gpu in range(gpus):
            file = (locks / f"gpu{gpu}.{sharers}").open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return gpu, file
    raise AssertionError("counting never ends")
