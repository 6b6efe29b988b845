"""Hash input data by content: files and folders, with every sidecar file that is read with them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from apsam.errors import InputError
from apsam.files import read_json, write_json
from apsam.input_content import content_checksum, content_digest, files_of
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
        # With the number of files.
        self._digests: dict[Path, tuple[str, int]] = {}
        self._checksums: dict[Path, str | None] = {}

    def digest(self, path: Path) -> str:
        """Return the digest of all that is read with `path` (`apsam.input_content`)."""
        return self._known(path)[0]

    def number(self, path: Path) -> int:
        """Return how many files were read with `path` when its digest was computed."""
        return self._known(path)[1]

    def _known(self, path: Path) -> tuple[str, int]:
        if path not in self._digests:
            files = files_of(path)
            self._digests[path] = content_digest(path, self._checksum, files), len(files)
        return self._digests[path]

    def prepare(self, paths: Iterable[Path]) -> None:
        """Compute the checksums of many files in parallel, and show progress.

        Raises:
            InputError: A file cannot be read.
        """
        files = [file for path in dict.fromkeys(paths) for file in files_of(path)]
        unknown = [file for file in files if file.is_file() and not self._memory.knows_file(KIND, file)]
        size = sum(file.stat().st_size for file in unknown)
        if size > MUCH:
            print(f"checksums of {len(unknown)} given files, {size / 1e9:.1f} GB (once)", file=sys.stderr, flush=True)
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                self._checksums |= zip(unknown, pool.map(content_checksum, unknown), strict=True)
        except OSError as error:
            raise InputError(
                f"{error.filename}: cannot be read ({error.strerror}); change its permissions, or move it away if it "
                f"does not belong to the data"
            ) from error

    def _checksum(self, file: Path) -> str | None:
        checksum: str | None = self._memory.of_file(
            KIND, file, lambda: self._checksums[file] if file in self._checksums else content_checksum(file)
        )
        return checksum


KIND = "sha256"


def write_given(file: Path, digests: Mapping[str, str]) -> None:
    """Write the hashes of input data, if they differ from the stored ones."""
    try:
        same = read_json(file) == digests
    except InputError:
        same = False
    if not same:
        write_json(file, digests)
