"""The content of input data: of files and folders, with every sidecar file that is read with them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from apsam.files import sha256_file
from apsam.sidecar_files import sidecar_files

# Files of SQLite, the size of their header, and what in it says how and by which version the file was last opened:
# the kind of journal, the counter of changes, and the version with the counter it is of. Data lie behind the header.
DATABASES = (".gpkg", ".sqlite", ".mbtiles")
HEADER = 100
HOW_OPENED = (slice(18, 20), slice(24, 28), slice(92, 100))


def files_of(path: Path) -> list[Path]:
    """Return an input file and its sidecar files, or the files of an input folder."""
    sidecars = sidecar_files(path)
    return sidecars if path.is_dir() else [path, *sidecars]


def content_checksum(file: Path) -> str | None:
    """Return the SHA-256 of a file's content for readers; None if it has none.

    Statistics of QGIS or GDAL in `.aux.xml` are not read, nor is an empty write-ahead log, nor what programs leave in
    the header of a GeoPackage that they only open.
    """
    if file.name.lower().endswith(".aux.xml"):
        return _aux_checksum(file)
    if file.name.endswith("-wal") and not file.stat().st_size:
        return None
    return _database_checksum(file) if file.suffix.lower() in DATABASES else sha256_file(file)


def content_digest(
    path: Path, checksum: Callable[[Path], str | None] = content_checksum, files: Sequence[Path] | None = None
) -> str:
    """Return the SHA-256 of all that is read with `path`: names and contents of its files and sidecar files.

    The folder of a file, and its name except the suffix, do not count: data may be elsewhere on another
    machine. The names of files in a folder do, because labels refer to them. A file that cannot be read does not count.

    Args:
        path: A file or a folder.
        checksum: Computes, or remembers, the checksum of one file.
        files: `files_of` the path, if they are known.
    """
    own = "" if path.is_dir() else path.stem
    lines = []
    for file in files_of(path) if files is None else files:
        try:
            found = checksum(file)
        except OSError:
            continue
        if found:
            lines.append(f"{file.name.removeprefix(own)} {found}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def changed_since(path: Path, time: float, digest: str, number: int | None = None) -> bool:
    """Whether the content of an input is another one than it was at a time.

    Args:
        path: A file or a folder, which exists.
        time: Seconds since 1970. Content is read only if the date of an entry (ctime) is later, which also a program
            that keeps the dates of contents (rsync -a) cannot set back, or if there are more or fewer files.
        digest: `content_digest` at that time.
        number: How many files were read with it (`files_of`); None: unknown.
    """
    files = files_of(path)
    # Of a folder, its own entry says that a file was removed and another one was put in its place.
    same = number in (None, len(files)) and all(_entered(entry) <= time for entry in (path, *files))
    return not same and content_digest(path, files=files) != digest


def _entered(entry: Path) -> float:
    """When an entry was changed (ctime); of one that was removed since it was listed, now."""
    try:
        return entry.stat().st_ctime
    except FileNotFoundError:
        return math.inf


def _database_checksum(file: Path) -> str:
    with file.open("rb") as content:
        header = bytearray(content.read(HEADER))
        if len(header) == HEADER:
            for part in HOW_OPENED:
                header[part] = bytes(part.stop - part.start)
        digest = hashlib.sha256(header)
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _aux_checksum(file: Path) -> str | None:
    try:
        tree = ElementTree.parse(file).getroot()
    except ElementTree.ParseError:
        return sha256_file(file)
    for parent in list(tree.iter()):
        for child in list(parent):
            is_statistic = child.tag == "MDI" and child.get("key", "").startswith("STATISTICS_")
            if is_statistic or child.tag in ("Histograms", "GDALRasterAttributeTable"):
                parent.remove(child)
    _drop_empty(tree)
    for element in tree.iter():
        element.text, element.tail = (element.text or "").strip(), ""
    return hashlib.sha256(ElementTree.tostring(tree)).hexdigest() if len(tree) else None


def _drop_empty(element: ElementTree.Element) -> None:
    for child in list(element):
        _drop_empty(child)
        if not len(child) and not (child.text or "").strip():
            element.remove(child)
