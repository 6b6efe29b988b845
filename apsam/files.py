"""Atomic writes (a file is complete or absent), JSON, checksums."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apsam.errors import InputError, OutputError
from apsam.temporary_files import partial_path, remove
from apsam.writing import not_whole, settle, writing


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; it is renamed to `path` on success and removed on failure.

    Temporary files of killed processes are removed first (`apsam.temporary_files`). Before the file is renamed, it is
    flushed to disk, and files written by GDAL or SQLite are read back (`apsam.writing`).

    Args:
        path: The file (or folder) to make. Missing parent folders are created.

    Yields:
        The path to write to.

    Raises:
        OutputError: The disk is full, the folder cannot be written to, a file was written and `path` is a folder, ...
    """
    path = Path(path)
    with writing(path):
        partial = partial_path(path)
        try:
            yield partial
            if partial.is_file():
                # Some writers (safetensors) make files that only their owner may read.
                partial.chmod(0o666 & ~_umask())
                if problem := settle(partial):
                    raise not_whole(path, problem)
            if path.is_dir():
                if partial.is_file():
                    raise OutputError(f"{path}: is a folder; name the file to write")
                shutil.rmtree(path)
            os.replace(partial, path)
        finally:
            remove(partial)


@contextmanager
def scratch_folder(path: Path | str, use: str) -> Iterator[Path]:
    """Yield a folder next to `path` for files needed while `path` is made; it is removed at the end.

    Args:
        path: The file to make. Missing parent folders are created.
        use: A word for the folder's name, other than those of other folders for the same file.

    Raises:
        OutputError: The disk is full, the folder cannot be written to, ...
    """
    path = Path(path)
    with writing(path):
        folder = partial_path(path.with_name(f"{path.name}.{use}"))
        # A library whose threads outlived an error (zarr) may have left files of an earlier attempt.
        remove(folder)
        try:
            folder.mkdir()
            yield folder
        finally:
            remove(folder)


def reserve(path: Path) -> None:
    """Reserve disk space for the whole file, which will be written through a memory map.

    Without it, a full disk kills the process (SIGBUS) in the middle of an assignment.

    Raises:
        OSError: There is not enough space.
    """
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as sorted, indented JSON, so that the same value always gives the same bytes."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        InputError: The file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file ({error}); remove it and run again") from error


def read_record(path: Path | str, schema: int, keys: Sequence[str], what: str) -> dict[str, Any]:
    """Read a JSON file that an earlier stage wrote, {"schema": `schema`, ...}.

    Args:
        path: The file.
        schema: Its version.
        keys: Further keys that it must have.
        what: What it is, for the error: `a calibrated threshold`.

    Raises:
        InputError: The file is missing, is not JSON, or is another one.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != schema or not set(keys) <= set(content):
        raise InputError(f"{path}: not {what} of schema {schema}; remove it and run again")
    return content


def from_home(path: Path) -> Path:
    """A path, of which `~/` at its beginning has become the home folder (`HOME`, where it is set)."""
    home = os.environ.get("HOME")
    return Path(home, *path.parts[1:]) if path.parts[:1] == ("~",) and home else path


# Links on the way to a file at most, as in Linux: links may point to each other.
MOST_LINKS = 40


def places_of(path: Path) -> Iterator[Path]:
    """Yield where a file lies; of a link, every place on the way (a file of the store may be a link of DVC)."""
    yield path
    for _ in range(MOST_LINKS):
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()
        yield path


def read_text(path: Path | str) -> str:
    """Read a text table: UTF-8, with or without the byte order mark of spreadsheets (BOM).

    Line ends stay as they are, for `csv`.

    Raises:
        InputError: The file is not UTF-8, or not text.
    """
    content = Path(path).read_bytes()
    if b"\0" in content[:1024] and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path}: is a binary file, not a table of text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        looks = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "Windows-1252 or Latin-1"
        raise InputError(
            f"{path}: is not UTF-8 (byte {error.start + 1} is 0x{content[error.start]:02x}), probably {looks}; save "
            f"it as UTF-8 (in a spreadsheet: 'CSV UTF-8', or the character set 'Unicode (UTF-8)')"
        ) from None


def sha256_file(path: Path | str) -> str:
    """Return the SHA-256 of a file's content, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
