"""Hash input data by content: files and folders, with every sidecar file that is read with them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from apsam.errors import InputError
from apsam.files import read_json, sha256_file, write_json
from apsam.sidecar_files import sidecar_files
from workflow_support.memory import Memory

# Above this size, a progress line is shown.
MUCH = 500_000_000  # bytes
THREADS = 4


class InputDigests:
    """Hashes of input files and folders, cached.

    Args:
        memory: The cache of checksums.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._digests: dict[Path, str] = {}
        self._checksums: dict[Path, str | None] = {}

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of all that is read with `path`: names and contents of its files and sidecar files.

        The folder of a file, and its name except the suffix, do not count: data may be elsewhere on another
        machine. The names of files in a folder do, because labels refer to them.
        """
        if path not in self._digests:
            own = "" if path.is_dir() else path.stem
            found = ((file.name.removeprefix(own), self._checksum(file)) for file in files_of(path))
            lines = [f"{name} {checksum}" for name, checksum in found if checksum]
            self._digests[path] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return self._digests[path]

    def prepare(self, paths: Iterable[Path]) -> None:
        """Compute the checksums of many files in parallel, and show progress."""
        files = [file for path in dict.fromkeys(paths) for file in files_of(path)]
        unknown = [file for file in files if file.is_file() and not self._memory.knows_file(KIND, file)]
        size = sum(file.stat().st_size for file in unknown)
        if size > MUCH:
            print(f"checksums of {len(unknown)} given files, {size / 1e9:.1f} GB (once)", file=sys.stderr, flush=True)
        with ThreadPoolExecutor(THREADS) as pool:
            self._checksums |= zip(unknown, pool.map(content_checksum, unknown), strict=True)

    def _checksum(self, file: Path) -> str | None:
        try:
            digest: str = self._memory.of_file(
                KIND, file, lambda: self._checksums[file] if file in self._checksums else content_checksum(file)
            )
        except OSError:
            return None
        return digest


KIND = "sha256"


def files_of(path: Path) -> list[Path]:
    """Return an input file and its sidecar files, or the files of an input folder."""
    sidecars = sidecar_files(path)
    return sidecars if path.is_dir() else [path, *sidecars]


def content_checksum(file: Path) -> str | None:
    """Return the SHA-256 of a file's content for readers; None if it has none.

    Statistics of QGIS or GDAL in `.aux.xml` are not read, nor is an empty write-ahead log.
    """
    if file.name.lower().endswith(".aux.xml"):
        return _aux_checksum(file)
    if file.name.endswith("-wal") and not file.stat().st_size:
        return None
    return sha256_file(file)


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


def write_given(file: Path, digests: Mapping[str, str]) -> None:
    """Write the hashes of input data, if they differ from the stored ones."""
    try:
        same = read_json(file) == digests
    except InputError:
        same = False
    if not same:
        write_json(file, digests)
