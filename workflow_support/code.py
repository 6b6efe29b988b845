"""Hashes of the code of jobs, and of files of the package that are read as data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from apsam.code_hash import PACKAGE_ROOT, code_hash
from apsam.localizer.method_code import method_code, offline_code
from workflow_support.memory import Memory

DIGITS = 12


class Code:
    """Hashes of commands, cached until the name, size or time of a source file changes.

    Args:
        memory: The cache.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def of_command(self, module: str, command: str | None = None) -> str:
        """Return the hash of the code of one command of `apsam.commands`."""
        name = command or module
        file = PACKAGE_ROOT / "commands" / f"{module}.py"
        return self._get(f"{module}:{name}", lambda: code_hash(file, definition=name))

    def of_method(self, name: str) -> str:
        """Return the hash of the code of a localization method, which is imported by name."""
        return self._get(f"method {name}", lambda: method_code(name))

    def of_offline(self, name: str) -> str:
        """Return the hash of the code of a method's offline stage."""
        return self._get(f"offline {name}", lambda: offline_code(name))

    def of_page(self) -> str:
        """Return the hash of the report's templates, styles and scripts."""
        folders = [PACKAGE_ROOT / "report" / name for name in ("templates", "static")]
        return self._get("page", lambda: files_hash(file for folder in folders for file in folder.rglob("*")))

    def packaged_sam(self) -> str:
        """Return the hash of the SAM weights in the package."""
        return self._get("sam weights", lambda: files_hash((PACKAGE_ROOT / "sam" / "weights").glob("*.safetensors")))

    def _get(self, name: str, make: Callable[[], str]) -> str:
        found: str = self._memory.get("code", name, self.source, make)
        return found

    @cached_property
    def source(self) -> str:
        """Return the state of the package: names, sizes and times of all its files."""
        lines = [str(PACKAGE_ROOT)]
        for file in sorted(PACKAGE_ROOT.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                status = file.stat()
                lines.append(f"{file} {status.st_size} {status.st_mtime_ns}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def files_hash(files: Iterable[Path]) -> str:
    """Return the hash of names and contents of files."""
    lines = [f"{f.name} {hashlib.sha256(f.read_bytes()).hexdigest()}" for f in sorted(files) if f.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGITS]
