"""Hashes that stand among the parameters of rules for files and code that are no inputs: a change of one is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from apsam.code_hash import PACKAGE_ROOT, code_hash
from apsam.companions import companions
from workflow_support.code_hashes import code_hashes

DIGITS = 12


@cache
def packaged_weights() -> str:
    """Names and hashes of the SAM weights that come with the package."""
    files = sorted((PACKAGE_ROOT / "sam" / "weights").glob("*.safetensors"))
    return " ".join(f"{file.name}:{short_hash(file)}" for file in files)


def command_hash(module: str, command: str | None = None) -> str:
    """Hash of the code that one command of `apsam.commands` uses."""
    name = command or module
    file = PACKAGE_ROOT / "commands" / f"{module}.py"
    return code_hashes().get(f"{module} {name}", lambda: code_hash(file, definition=name))


def page_hash() -> str:
    """Hash of the report's templates, styles and scripts, which the code hash does not see."""
    folders = (PACKAGE_ROOT / "report" / name for name in ("templates", "static"))
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    listing = " ".join(f"{file.name}:{short_hash(file)}" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:DIGITS]


def listing_hash(paths: Iterable[str], checksum: Callable[[Path], str]) -> str:
    """Hash of what is read with or in `paths` (`apsam.companions`), by name and content; empty where that is nothing.

    Args:
        paths: Files and folders.
        checksum: Gives the SHA-256 of a file.
    """
    parts = ["".join(f"{file.name} {checksum(file)}\n" for file in companions(Path(path))) for path in paths]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:DIGITS] if any(parts) else ""


def short_hash(file: Path) -> str:
    """The beginning of a file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:DIGITS]
