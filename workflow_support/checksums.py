"""SHA-256 of files, remembered from one Snakemake process to the next."""

from __future__ import annotations

import hashlib
from pathlib import Path

from apsam.errors import InputError
from apsam.files import read_json, sha256_file, write_json

MEMORY = Path(".snakemake/apsam_checksums.json")

# More files than a large run has; what was not asked for lately is forgotten first.
REMEMBERED = 200_000


class Checksums:
    """SHA-256 of files and folders, computed anew only where size, date or inode of a file is another one.

    The place of a file is no part of what is remembered: a file that is moved, or linked elsewhere, is not read again.
    """

    def __init__(self, memory: Path = MEMORY) -> None:
        self._memory = memory
        try:
            known = read_json(memory)
        except InputError:
            known = {}
        self._known: dict[str, str] = known if isinstance(known, dict) else {}
        self._asked: dict[str, str] = {}
        self._changed = False

    def of(self, path: Path | str) -> str:
        """SHA-256 of a file's content, or of the names and contents in a folder, as 64 hex digits.

        Raises:
            FileNotFoundError: There is no such file, or a link that leads nowhere.
        """
        path = Path(path)
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            lines = (f"{file.relative_to(path).as_posix()} {self.of(file)}" for file in files)
            return hashlib.sha256("\n".join(lines).encode()).hexdigest()
        status = path.stat()
        stamp = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
        known = self._known.get(stamp)
        if not isinstance(known, str):
            known = sha256_file(path)
            self._changed = True
        self._asked[stamp] = known
        return known

    def save(self) -> None:
        """Remember for the next process."""
        if self._changed:
            older = {stamp: value for stamp, value in self._known.items() if stamp not in self._asked}
            self._known = {**older, **self._asked}
            for stamp in list(self._known)[: max(0, len(self._known) - REMEMBERED)]:
                del self._known[stamp]
            write_json(self._memory, self._known)
            self._changed = False
