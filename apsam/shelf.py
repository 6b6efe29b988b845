"""The shelf of a run: every version of its files, so that what earlier settings made comes back with them.

`results/<run>/.shelf/<key>/` holds the files that one job made under one recipe: `entry.json` and, under `files/`, the
files by their place in the run's folder. The key is a hash of all that made them, so what is wanted is found without a
search. Files get there, and come back, by hard link: nothing is copied, what is in place takes no space a second time,
and a process killed at any point leaves every version in at least one of the two places. (Where the file system has no
hard links, files are moved, and only those that give way to others.)

What an entry says about a file beside its checksum is the caller's; nothing here knows of Snakemake or DVC.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apsam.errors import InputError
from apsam.files import read_json, write_json
from apsam.leftovers import partial_path

FOLDER = ".shelf"
ENTRY = "entry.json"
FILES = "files"
# Beginning of the keys of files that no recipe leads to, because they were changed by hand.
CHANGED = "changed-"

NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


@dataclass(frozen=True)
class Version:
    """The files of one job, made under one recipe.

    Attributes:
        key: Hash of the recipe.
        rule: Name of the rule that made them.
        used: When they were last put on the shelf or brought back, seconds since 1970.
        files: By place in the run's folder: the SHA-256 (`sha256`) and what the caller keeps with it.
        folder: Where they lie.
    """

    key: str
    rule: str
    used: float
    files: Mapping[str, Mapping[str, Any]]
    folder: Path

    def path(self, name: str) -> Path:
        """Where a file lies on the shelf."""
        return self.folder / FILES / name

    @property
    def own_bytes(self) -> int:
        """Disk space that only the shelf holds: files that are linked from elsewhere too count nothing."""
        return sum(_own_bytes(self.path(name)) for name in self.files)


class Shelf:
    """The shelf of the run in the folder `results`."""

    def __init__(self, results: Path | str) -> None:
        self.results = Path(results)
        self.folder = self.results / FOLDER

    def find(self, key: str) -> Version | None:
        """The version made under a recipe; None where there is none, or not all of it."""
        return self._read(self.folder / key)

    def versions(self) -> list[Version]:
        """All versions, those longest unused first."""
        folders = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        found = [version for folder in folders if (version := self._read(folder))]
        return sorted(found, key=lambda version: (version.used, version.key))

    def put(self, key: str, rule: str, files: Mapping[str, Mapping[str, Any]], give_way: bool = False) -> None:
        """Put files on the shelf; they stay in place too.

        Args:
            key: Hash of the recipe they were made under.
            rule: Name of the rule that made them.
            files: By place in the run's folder: `sha256` and whatever is to be kept with it.
            give_way: They are about to be replaced. Those that cannot stay in place leave it: write-protected ones (of
                DVC's linking caches), which Snakemake would not replace, and all where there are no hard links.
        """
        if not self._holds(key, files):
            unlinkable = self._link_all(key, rule, files, give_way)
            for name in unlinkable if give_way else []:
                os.replace(self.results / name, self.folder / key / FILES / name)
        if give_way:
            for name in files:
                if _is_protected(self.results / name):
                    (self.results / name).unlink()

    def take(self, version: Version) -> None:
        """Bring a version's files back, each in place of what is there now.

        Raises:
            InputError: A file of it is no longer on the shelf.
        """
        moved = False
        for name in version.files:
            source, target = version.path(name), self.results / name
            if not source.exists():
                raise InputError(f"{source} is gone, the shelf was changed by something else; run again")
            partial = partial_path(target)
            if not _link(source, partial):
                os.replace(source, partial)
                moved = True
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            os.replace(partial, target)
            # Renaming one name of a file to another of the same file does nothing.
            partial.unlink(missing_ok=True)
        if moved:
            self.drop(version)
        else:
            os.utime(version.folder / ENTRY)

    def drop(self, version: Version) -> None:
        """Remove a version."""
        shutil.rmtree(version.folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove everything, also what a killed process left half done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep_within(self, limit: float) -> list[Version]:
        """Remove the versions longest unused until the rest holds at most `limit` bytes that nothing else holds.

        Returns:
            What was removed.
        """
        versions = self.versions()
        sizes = {version.key: version.own_bytes for version in versions}
        total = sum(sizes.values())
        removed: list[Version] = []
        for version in versions:
            if total <= limit:
                break
            if sizes[version.key]:
                total -= sizes[version.key]
                self.drop(version)
                removed.append(version)
        return removed

    def _holds(self, key: str, files: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether the very files are on the shelf already."""
        version = self.find(key)
        return (
            version is not None
            and version.files == files
            and all(_is_same(self.results / name, version.path(name)) for name in files)
        )

    def _link_all(self, key: str, rule: str, files: Mapping[str, Mapping[str, Any]], incomplete: bool) -> list[str]:
        """Make the entry; returns the files that could not be linked. Without `incomplete`, one of them prevents it."""
        partial = partial_path(self.folder / key)
        try:
            unlinkable = []
            for name in files:
                target = partial / FILES / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if not _link(self.results / name, target):
                    unlinkable.append(name)
            if unlinkable and not incomplete:
                return unlinkable
            write_json(partial / ENTRY, {"rule": rule, "files": files})
            shutil.rmtree(self.folder / key, ignore_errors=True)
            os.rename(partial, self.folder / key)
            return unlinkable
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _read(self, folder: Path) -> Version | None:
        if folder.name.startswith("."):
            return None
        try:
            entry = read_json(folder / ENTRY)
            used = (folder / ENTRY).stat().st_mtime
            version = Version(folder.name, entry["rule"], used, entry["files"], folder)
        except (InputError, KeyError, TypeError, OSError):
            return None
        # `exists` follows links: one into a cache that was emptied leads nowhere.
        return version if all(version.path(name).exists() for name in version.files) else None


def shelves(root: Path | str = "results") -> Iterator[Shelf]:
    """The shelves of all runs below a folder, by the name of the run."""
    for folder in sorted(Path(root).glob(f"*/{FOLDER}")):
        yield Shelf(folder.parent)


def _link(source: Path, target: Path) -> bool:
    """Make a second name for a file or for all files of a folder; False where the file system has no hard links."""
    try:
        if source.is_symlink():
            # A link into DVC's cache. Its target is named in full: the link moves to another folder.
            os.symlink(os.path.realpath(source), target)
        elif source.is_dir():
            shutil.copytree(source, target, copy_function=os.link)
        else:
            os.link(source, target)
    except (OSError, shutil.Error) as error:
        if source.is_dir() or error.errno not in NO_HARD_LINKS:
            raise
        return False
    return True


def _is_protected(source: Path) -> bool:
    return not source.is_symlink() and source.is_file() and not os.access(source, os.W_OK)


def _is_same(path: Path, other: Path) -> bool:
    """Whether two names are of one file, or two links lead to one."""
    return path.is_file() and os.path.samefile(path, other)


def _own_bytes(path: Path) -> int:
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(_own_bytes(file) for file in path.rglob("*") if not file.is_dir())
    status = path.stat()
    return status.st_size if status.st_nlink == 1 else 0
