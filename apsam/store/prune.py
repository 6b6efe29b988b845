"""Remove files from the store that no view uses and that are not among the newest versions."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from apsam.errors import InputError
from apsam.store.recipe import KEYED, input_folders, job_folder, read_recipe
from apsam.store.verify import job_folders
from apsam.store.view import MANIFEST, read_manifest


def views(results: Path) -> list[Path]:
    """Return the views in `results/`."""
    return sorted(file.parent for file in results.glob(f"*/{MANIFEST}"))


def folders_of_view(view: Path, store: Path) -> set[Path]:
    """Return the folders of the store that a view uses."""
    root = store.parent.parent
    files = (root / entry["file"] for entry in read_manifest(view).values())
    return {job_folder(file, store) for file in files}


def needed(store: Path, newest: int) -> set[Path]:
    """Return the folders of the store that views and the newest versions need, with all their inputs.

    Args:
        store: `results/store`, absolute.
        newest: Number of versions to keep for each unit of each stage, the newest ones.
    """
    keep: set[Path] = set()
    for view in views(store.parent):
        keep |= folders_of_view(view, store)
    versions: dict[tuple[Path, str], list[Path]] = {}
    for folder in job_folders(store):
        unit = KEYED.match(folder.name)
        versions.setdefault((folder.parent, unit["unit"] if unit else ""), []).append(folder)
    for found in versions.values():
        keep |= set(sorted(found, key=_made, reverse=True)[:newest])
    return _with_inputs(keep, store)


def size_of(folder: Path) -> int:
    """Return the disk space of a folder in bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def remove(folders: Iterable[Path]) -> None:
    """Remove folders of jobs, and the folders of stages that are then empty."""
    for folder in folders:
        shutil.rmtree(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def _with_inputs(folders: set[Path], store: Path) -> set[Path]:
    todo, seen = list(folders), set()
    while todo:
        folder = todo.pop()
        if folder in seen or not folder.is_dir():
            continue
        seen.add(folder)
        try:
            todo += input_folders(folder, store)
        except InputError:
            continue
    return seen


def _made(folder: Path) -> str:
    """Return when a job ended, of which later texts are greater; a checkout or copy sets other dates of files."""
    try:
        return str(read_recipe(folder).get("ended", ""))
    except InputError:
        return ""
