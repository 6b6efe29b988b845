"""Code hashes, remembered from one start of Snakemake to the next.

Reading the package's source takes most of the time that parsing the Snakefile takes, and every job of a cluster parses
it twice. What was found is believed as long as names, sizes and dates of all source files stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from apsam.code_hash import PACKAGE_ROOT
from apsam.files import write_json

MEMORY = Path(".snakemake/apsam_code_hashes.json")


class CodeHashes:
    """Hashes by name.

    Args:
        package: Folder of the source.
        memory: Where they are kept.
    """

    def __init__(self, package: Path = PACKAGE_ROOT, memory: Path = MEMORY) -> None:
        self._memory = memory
        self._source = _listing(package)
        try:
            kept = json.loads(memory.read_text())
        except (OSError, ValueError):
            kept = {}
        self._known: dict[str, str] = kept.get("hashes", {}) if kept.get("source") == self._source else {}
        self._changed = False

    def get(self, name: str, make: Callable[[], str]) -> str:
        """The hash called `name`; `make` is asked for those that are not known."""
        if name not in self._known:
            self._known[name] = make()
            self._changed = True
        return self._known[name]

    def save(self) -> None:
        """Write down what is new."""
        if self._changed:
            write_json(self._memory, {"source": self._source, "hashes": self._known})
            self._changed = False


@cache
def code_hashes() -> CodeHashes:
    """The hashes of this process."""
    return CodeHashes()


def _listing(package: Path) -> str:
    """Where the source lies, and names, sizes and dates of its files, as a hash."""
    lines = [str(package)]
    for file in sorted(package.rglob("*.py")):
        status = file.stat()
        lines.append(f"{file} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
