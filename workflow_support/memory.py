"""Cache of Snakemake processes between starts: checksums, code hashes, sizes of rasters.

Each entry has the state of its file (size, time, inode), and is computed again if the state
changes. The cache file may be removed at any time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from apsam.errors import OutputError
from apsam.files import write_json

FILE = Path(".snakemake/apsam_memory.json")
# Maximum number of entries; those not used recently are removed first.
LONGEST = 200_000
# A file changed so short a time ago may change again within the resolution of its time.
SETTLED = 2.0  # seconds


class Memory:
    """Cached values by kind and name, each with the state it belongs to.

    Args:
        file: The cache file.
    """

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        self._changed = False
        try:
            kept = json.loads(file.read_text())
            self._known: dict[str, Any] = kept if isinstance(kept, dict) else {}
        except (OSError, ValueError):
            self._known = {}
        self._asked: dict[str, Any] = {}

    def get(self, kind: str, name: str, state: str, make: Callable[[], Any]) -> Any:
        """Return the value of this kind and name in this state; `make` computes it if it is not cached."""
        entry = f"{kind} {name}"
        known = self._asked.get(entry) or self._known.get(entry)
        if not (isinstance(known, list) and len(known) == 2 and known[0] == state):
            known = [state, make()]
            self._changed = True
        self._asked[entry] = known
        return known[1]

    def of_file(self, kind: str, path: Path, make: Callable[[], Any], sidecars: Sequence[Path] = ()) -> Any:
        """Return the value of a file in its current state.

        Args:
            kind, path: What is asked for, and the file.
            make: Computes it if it is not cached.
            sidecars: Files that are read with it.

        Raises:
            OSError: There is no such file.
        """
        status = [file.stat() for file in (path, *sidecars)]
        # Dates of contents may lie in the future (from an archive of another time zone), those of entries do not.
        if time.time() - max(min(one.st_mtime, one.st_ctime) for one in status) < SETTLED:
            return make()
        return self.get(kind, str(path.absolute()), " ".join(map(_state, status)), make)

    def knows_file(self, kind: str, path: Path) -> bool:
        """Whether the value of a file in its current state is cached."""
        known = self._known.get(f"{kind} {path.absolute()}")
        return bool(known and known[0] == _state(path.stat()))

    def save(self) -> None:
        """Write new entries. If the folder cannot be written, the run continues without."""
        if not self._changed:
            return
        older = {name: value for name, value in self._known.items() if name not in self._asked}
        self._known = {**older, **self._asked}
        for name in list(self._known)[: max(0, len(self._known) - LONGEST)]:
            del self._known[name]
        try:
            write_json(self._file, self._known)
        except OutputError:
            return
        self._changed = False


def _state(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
