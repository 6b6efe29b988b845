"""The view of a run: `results/<run>/`, with the files of the current configuration under plain names.

Large files are hard links to the store, small ones, which people and programs change in place, are copies: a GeoPackage
opened in QGIS must not write into the store. Links or copies, not symbolic links, so that the folder can be copied
with `rsync -a` or a file manager and opened by QGIS (docs/architecture.md).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from apsam.errors import InputError
from apsam.files import read_json, sha256_file, write_json
from apsam.store.recipe import RECIPE, job_folder, read_recipe, store_of
from apsam.store.view import MANIFEST, is_old_run, read_manifest
from workflow_support.input_digests import write_given
from workflow_support.memory import Memory

STORE = Path("results/store")
# Maps that are listed first: of the second round, then of scene-wide pseudo-masks, if a run has them.
SHOWN = ("self_training", "ground", "apsam")
# Files whose warnings are printed at the end: disagreement of labels and maps, maps that do not beat baselines.
CHECKS = ("metrics/checks.json", "metrics/resunet.json")
LINKED = (".zip", ".safetensors", ".tif", ".png", ".svg")
# Files of a view that DVC shows as metrics and plots (`workflow_support.dvc_stages`).
TRACKED = {
    "localizer/history.json",
    "resunet/apsam/history.json",
    "resunet/cam/history.json",
    "metrics/summary.json",
}
# Steps of DVC for which a run may have no file; DVC requires every output to exist.
MAY_BE_EMPTY = ("scenes", "ground", "heatmaps", "views", "self_training", "suggestions")
# Files that programs leave next to a file they open.
LEFT_BY_PROGRAMS = (".aux.xml", "-wal", "-shm", "-journal", ".qgs~")
# Files that changed since their recipe was written are compared by content, up to this many bytes a run.
COMPARED = 1_000_000_000


@dataclass
class Update:
    """Result of updating a view.

    Attributes:
        files: Plain name -> file of the store, for existing files.
        made: Jobs whose files were made since the workflow started.
        found: Jobs whose files existed.
        changed: Whether the view was replaced.
        warnings: Warnings for the user.
    """

    files: dict[str, str]
    made: int = 0
    found: int = 0
    changed: bool = False
    warnings: list[str] = field(default_factory=list)


def check_run_folder(folder: Path) -> None:
    """Check that the folder of a run is a view that can be exchanged for another one, or does not exist.

    Raises:
        InputError: It is something else; nothing in it is changed.
    """
    place = folder.resolve()
    if place.is_mount() or (folder.is_symlink() and place.exists() and not os.access(place.parent, os.W_OK)):
        raise InputError(
            f"{folder}: cannot be exchanged for a new view, because {place} is a mount point or {place.parent} cannot "
            f"be written to; make it a link to a folder on that disk, in one that you can write to"
        )
    if not folder.exists() or (folder / MANIFEST).is_file() or _is_pulled(folder):
        return
    what = (
        "contains results of an earlier version of apsam, which kept its files there"
        if is_old_run(folder)
        else "is not a view of apsam's store"
    )
    raise InputError(
        f"{folder}: {what}; nothing of it is touched. Give the run another name (run: {folder.name}_2), or move "
        f"the folder away: mv {folder} {folder}_old"
    )


def _is_pulled(folder: Path) -> bool:
    """Whether this is a folder that has only files of a view that DVC checks out in a clone."""
    if not folder.is_dir():
        return False
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return files <= TRACKED


def update_view(folder: Path, files: Mapping[str, str], started: float) -> Update:
    """Update the view to exactly those of `files` that are in the store.

    The new view is built next to the old one and exchanged with it. Files in it that were edited by hand stay as
    long as the configuration refers to the same file, else they are moved to `results/edited/`; other files
    stay.

    Args:
        folder: `results/<run>`.
        files: Plain name -> file of the store; folders of the store's jobs may be named as `name/` -> folder.
        started: When the workflow started, seconds since 1970.

    Raises:
        InputError: The folder is not a view.
    """
    check_run_folder(folder)
    _restore(folder)
    wanted = {name: file for name, file in sorted(_present(files)) if os.path.exists(file)}
    update = Update(wanted)
    _judge_store(wanted, started, update)
    old = read_manifest(folder)
    edited = {name for name in old if _is_edited(folder / name, old[name])}
    if {name: entry["file"] for name, entry in old.items()} != wanted or _stale(folder, old):
        _replace(folder, wanted, old, edited, update)
        update.changed = True
    for name in sorted(edited & wanted.keys()):
        if old[name]["file"] == wanted[name]:
            update.warnings.append(
                f"{folder / name} was changed by hand; it stays as it is, and what the workflow made is {wanted[name]}"
            )
    return update


def _present(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, file in files.items():
        if name.endswith("/"):
            inside = sorted(Path(file).rglob("*")) if os.path.isdir(file) else []
            yield from (
                (name + f.relative_to(file).as_posix(), str(f)) for f in inside if f.is_file() and f.name[0] != "."
            )
        else:
            yield name, file


def _judge_store(wanted: Mapping[str, str], started: float, update: Update) -> None:
    """Count the jobs, and compare files that are newer than their recipes with these."""
    memory, left, unchecked = Memory(), COMPARED, 0
    jobs: dict[str, dict[str, Any]] = {}
    for file in wanted.values():
        folder = job_folder(Path(file), STORE)
        if str(folder) not in jobs:
            jobs[str(folder)] = _recipe_of(folder)
            written = _mtime(folder / RECIPE)
            update.made += written >= started
            update.found += written < started
            jobs[str(folder)]["written"] = written
        recipe = jobs[str(folder)]
        known = recipe.get("outputs", {}).get(Path(file).relative_to(folder).as_posix())
        status = os.stat(file)
        if known is None or (status.st_size == known["bytes"] and status.st_mtime <= recipe["written"] + 1):
            continue
        differs = status.st_size != known["bytes"]
        if not differs:
            if status.st_size > left and not memory.knows_file("sha256", Path(file)):
                unchecked += 1
                continue
            left -= status.st_size
            differs = memory.of_file("sha256", Path(file), partial(sha256_file, file)) != known["sha256"]
        if differs:
            update.warnings.append(
                f"{file} is not what the workflow made: it was changed by hand. It is used as it is; to have it made "
                f"again, remove {folder}"
            )
    if unchecked:
        update.warnings.append(f"{unchecked} files were copied or checked out and not compared: apsam store verify")
    memory.save()


def _recipe_of(folder: Path) -> dict[str, Any]:
    try:
        return read_recipe(folder)
    except InputError:
        return {}


def _mtime(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _stale(folder: Path, old: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a file is missing, or a link has another target than the store's file, as after `dvc commit`."""
    for name, entry in old.items():
        file = folder / name
        if not file.exists() or (entry["linked"] and not os.path.samefile(file, entry["file"])):
            return True
    return False


def _is_edited(file: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a file of a view was replaced or edited."""
    try:
        status = file.stat()
    except OSError:
        return False
    if [status.st_size, status.st_mtime_ns] == entry["state"]:
        return False
    source = Path(entry["file"])
    if source.exists() and os.path.samefile(file, source):
        return False  # a link: the store's file itself was changed, which is reported
    return bool(sha256_file(file) != entry["sha256"])


def _replace(
    folder: Path,
    wanted: Mapping[str, str],
    old: Mapping[str, Mapping[str, Any]],
    edited: set[str],
    update: Update,
) -> None:
    # A link to a folder elsewhere stays a link: the folders are exchanged there.
    place = folder.resolve()
    new = place.with_name(f".{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    manifest = {}
    for name, file in wanted.items():
        target = new / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in edited and old[name]["file"] == file:
            shutil.copy2(folder / name, target)
            manifest[name] = {**old[name], "linked": False}
            continue
        linked = _put(Path(file), target)
        status = target.stat()
        manifest[name] = {
            "file": file,
            "linked": linked,
            "state": [status.st_size, status.st_mtime_ns],
            "sha256": _sha256(Path(file)),
        }
    _keep(folder, new, wanted, old, edited, update)
    write_json(new / MANIFEST, {"schema": 1, "files": manifest})
    _exchange(new, place)
    shutil.rmtree(new, ignore_errors=True)


def _put(file: Path, target: Path) -> bool:
    """Link or copy a file of the store into a view; returns whether it is a link."""
    if file.name.endswith(LINKED):
        try:
            # Of a link to DVC's cache, the file itself: the view would have another link.
            os.link(file.resolve(), target)
            return True
        except OSError:
            pass  # another file system, or one without links
    shutil.copyfile(file, target)
    return False


def _sha256(file: Path) -> str:
    folder = job_folder(file.absolute(), store_of(file))
    known = _recipe_of(folder).get("outputs", {}).get(file.absolute().relative_to(folder).as_posix())
    return known["sha256"] if known else sha256_file(file)


def _keep(
    folder: Path,
    new: Path,
    wanted: Mapping[str, str],
    old: Mapping[str, Mapping[str, Any]],
    edited: set[str],
    update: Update,
) -> None:
    """Keep files and links that others added; move files aside that were edited, or whose name is needed now."""
    aside = folder.parent / "edited" / folder.name / time.strftime("%Y-%m-%d_%H%M%S")

    def keep_aside(name: str, why: str) -> None:
        if (folder / name).is_symlink():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).symlink_to((folder / name).parent.absolute() / (folder / name).readlink())
        else:
            _carry(folder / name, aside / name)
        update.warnings.append(f"{folder / name} {why}; your version is now {aside / name}")

    for name in sorted(edited):
        if not (name in wanted and old[name]["file"] == wanted[name]):
            keep_aside(name, "was changed by hand")
    for file in sorted(folder.rglob("*")) if folder.is_dir() else []:
        name = file.relative_to(folder).as_posix()
        if name in old or name == MANIFEST or (file.is_dir() and not file.is_symlink()):
            continue
        if name.endswith(LEFT_BY_PROGRAMS) and not _belongs_to_same(name, wanted, old):
            continue
        in_a_file = any((new / above).is_file() for above in Path(name).parents)
        if not in_a_file and not (new / name).exists():
            _carry(file, new / name)
        # Where there is no manifest yet, DVC has checked them out.
        elif old or name not in TRACKED:
            keep_aside(name, "is a name of the workflow's files")


def _carry(file: Path, target: Path) -> None:
    """Put a file or link of a person into another folder; the file itself, not a copy, where that is possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(file, target, follow_symlinks=False)


def _belongs_to_same(name: str, wanted: Mapping[str, str], old: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the file next to which a program left a sidecar is the same one in the new view."""
    ending = next(ending for ending in LEFT_BY_PROGRAMS if name.endswith(ending))
    of = name.removesuffix(ending)
    return of in old and wanted.get(of) == old[of]["file"]


RENAME_EXCHANGE, AT_FDCWD = 2, -100


def _aside(folder: Path) -> Path:
    """Where the old view is between the two renames of a file system that cannot exchange folders."""
    return folder.with_name(f".{folder.name}.old")


def _restore(folder: Path) -> None:
    """Put back the old view, if the workflow was killed between these."""
    place = folder.resolve()
    if not place.exists() and _aside(place).is_dir():
        _aside(place).rename(place)


def _exchange(new: Path, folder: Path) -> None:
    """Exchange `new` and `folder` at once; the old one is then called `new`."""
    if not folder.exists():
        new.rename(folder)
        return
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None and not rename(
        AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(folder), ctypes.c_uint(RENAME_EXCHANGE)
    ):
        return
    # A file system (NFS) or C library without it: for a moment there is no view.
    old = _aside(folder)
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    new.rename(folder)
    old.rename(new)


def where_to_look(folder: Path, update: Update) -> str:
    """Return the final message: files made and found, and the results to open."""
    names = list(update.files)
    found = {source: [n for n in names if n.startswith(f"maps/{source}/") and n.endswith(".qgs")] for source in SHOWN}
    projects = [str(folder / name) for name in next((some for some in found.values() if some), [])]
    tables = [str(folder / name) for name in names if name.startswith("experiments/") and name.endswith(".csv")]
    lines = [f"{folder}: the files of {update.made} jobs made now, of {update.found} found in the store"]
    if "report/index.html" in update.files:
        lines.append(f"Report:       {folder / 'report/index.html'}")
    if projects:
        lines.append(f"Maps in QGIS: {', '.join(projects[:3])}{', ...' if projects[3:] else ''}")
    if tables:
        lines.append(f"Experiments:  {', '.join(tables)}")
    warnings = [*update.warnings, *_warnings_of_maps(update)]
    return "\n".join([*(f"warning: {text}" for text in warnings), *lines])


def _warnings_of_maps(update: Update) -> list[str]:
    """Return warnings from labels and baselines (`apsam.metrics.checks`, `apsam.metrics.baselines`)."""
    found: list[str] = []
    for name in CHECKS:
        file = Path(update.files.get(name, ""))
        if name not in update.files or not file.is_file():
            continue
        try:
            found += read_json(file).get("warnings", [])
        except InputError as error:
            found.append(str(error))
    return found


def show(folder: str, files: Mapping[str, str], given: Mapping[str, str], started: float, log: str) -> None:
    """Update a view and print the paths of results, in the terminal and in a log; run by the last job.

    For `dvc commit`, which requires every output to exist, the hashes of input data are written too.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    for step in MAY_BE_EMPTY:
        (STORE / step).mkdir(parents=True, exist_ok=True)
    write_given(STORE / "given" / f"{Path(folder).name}.json", given)
    with FileLock(STORE / ".view_lock"):
        update = update_view(Path(folder), files, started)
    text = where_to_look(Path(folder), update)
    Path(log).write_text(text + "\n")
    print(text, file=sys.stderr)
