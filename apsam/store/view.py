"""Views of the store: folders `results/<run>/` with the files of one configuration under plain names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apsam.errors import InputError
from apsam.files import read_json
from apsam.store.recipe import KEYED

# File of a view that maps each plain name to its file in the store.
MANIFEST = ".view.json"
# Files of earlier versions of apsam in a run's folder.
OLD_FOLDERS = (".provenance", ".shelf")


def read_manifest(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return plain name -> `file` of the store, its `sha256`, and the `state` (size, time) of the file in the view."""
    try:
        manifest = read_json(folder / MANIFEST)
        return dict(manifest["files"])
    except (InputError, KeyError, TypeError):
        return {}


def is_old_run(folder: Path) -> bool:
    """Whether a folder is a run of an earlier version, which had no store."""
    return any((folder / name).is_dir() for name in OLD_FOLDERS)


def stored_file(file: Path) -> Path:
    """Return the file of the store for a file of a view, or of the store itself.

    Raises:
        InputError: It is neither.
    """
    path = file.absolute()
    if any(KEYED.fullmatch(folder.name) for folder in path.parents):
        return path
    for folder in path.parents:
        if (folder / MANIFEST).is_file():
            entry = read_manifest(folder).get(path.relative_to(folder).as_posix())
            if entry is None:
                raise InputError(f"{file}: not a file that the workflow made; {folder} is a view of the store")
            return folder.parent.parent / str(entry["file"])
        if is_old_run(folder):
            raise InputError(f"{file}: of an earlier version of apsam, whose records this one does not read")
    raise InputError(f"{file}: lies neither in a store (results/store) nor in the folder of a run (results/NAME)")
