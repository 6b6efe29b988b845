"""Temporary files are named after the process that writes them, so those of a killed process are found and removed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
from functools import cache
from pathlib import Path
from typing import Literal

PREFIX = ".partial-"
# Bytes: the usual file systems allow 255, and GDAL and SQLite add suffixes to a name.
LONGEST_NAME = 220
_NAME = re.compile(re.escape(PREFIX) + r"(?P<process>[^+]*\+\d+\+\d+)-(?P<target>.+)", re.DOTALL)


def this_process() -> str:
    """Return the name of this process, unique among machines and times: host, number and start."""
    return f"{_host()}+{os.getpid()}+{_start(os.getpid()) or 0}"


def process_state(name: str) -> Literal["running", "gone", "elsewhere"]:
    """Whether the process called `name` still runs; `elsewhere`: it was started on another machine."""
    host, number, start = name.rsplit("+", 2)
    if host != _host():
        return "elsewhere"
    return "running" if _start(int(number)) == int(start) else "gone"


def partial_path(path: Path) -> Path:
    """Return the temporary path of `path` for this process; remove temporary files of killed processes in the folder.

    The name keeps the suffixes of `path`, because GDAL and others choose a format by them. Temporary files of another
    machine, whose processes cannot be checked, are removed only if they are of the very same file: only one job makes a
    file at a time.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder, path.name)
    return folder / f"{PREFIX}{this_process()}-{_shortened(path.name, this_process())}"


def _shortened(name: str, process: str) -> str:
    """Shorten a file's name so that it fits behind the process: its end, with the suffixes, and a hash before it."""
    room = LONGEST_NAME - len(os.fsencode(f"{PREFIX}{process}-"))
    if len(os.fsencode(name)) <= room:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    end = os.fsencode(name)[-(room - len(digest)) :].decode(errors="ignore")
    return digest + end


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sweep(folder: Path, target: str) -> None:
    for entry in folder.glob(f"{PREFIX}*"):
        if found := _NAME.fullmatch(entry.name):
            state = process_state(found["process"])
            same = found["target"] == _shortened(target, found["process"])
            if state == "gone" or (state == "elsewhere" and same):
                remove(entry)


@cache
def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())


def _start(number: int) -> int | None:
    """Return when a process was started, in ticks since boot; 0 if that is unknown, None if there is no process."""
    try:
        status = Path(f"/proc/{number}/stat").read_text()
        # The name, in brackets, may contain anything; the start is the 20th field after it.
        state, *fields = status.rpartition(")")[2].split()
        return None if state == "Z" else int(fields[18])
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0
