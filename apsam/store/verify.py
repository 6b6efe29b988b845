"""Find files of the store that have changed since they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from apsam.errors import InputError
from apsam.files import sha256_file
from apsam.store.recipe import KEYED, RECIPE, read_recipe

AS_MADE, CHANGED, MISSING, UNKNOWN = "as made", "changed since it was made", "not there", "of no recipe"


class Finding(NamedTuple):
    """A file of the store that has changed, and the kind of change."""

    file: Path
    state: str


def job_folders(store: Path) -> Iterator[Path]:
    """Return all folders of jobs in a store, by stage and name."""
    if not store.is_dir():
        return
    for entry in sorted(store.iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            if KEYED.match(entry.name):
                yield entry
            else:
                yield from job_folders(entry)


def state_of(file: Path, known: Mapping[str, Any] | None) -> str:
    """Compare a file with its recipe: `as made`, `changed since it was made`, `not there`, `of no recipe`."""
    if not file.exists():
        return MISSING
    if known is None:
        return UNKNOWN
    same = file.stat().st_size == known["bytes"] and sha256_file(file) == known["sha256"]
    return AS_MADE if same else CHANGED


def verify(store: Path) -> Iterator[tuple[Path, list[Finding]]]:
    """Compare every file of a store with its recipe.

    Yields:
        Folder of a job, and its files that differ. A job without a recipe did not end; a missing output was
        deleted (such as a temporary file) and is made again if it is needed.
    """
    for folder in job_folders(store):
        try:
            outputs = read_recipe(folder)["outputs"]
        except (InputError, KeyError):
            yield folder, [Finding(folder / RECIPE, MISSING)]
            continue
        found = [Finding(folder / name, state) for name, known in outputs.items()
                 if (state := state_of(folder / name, known)) != AS_MADE]  # fmt: skip
        files = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
        there = {file.relative_to(folder).as_posix() for file in files}
        found += [Finding(folder / name, UNKNOWN) for name in sorted(there - set(outputs) - {RECIPE})]
        yield folder, found
