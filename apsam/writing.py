"""Describe write errors in one sentence, and check whether a written file is complete.

Libraries report a full disk differently: an OSError, an error of their own, a message on stderr, or not at all
if the error occurs when the file is closed (GDAL). Therefore `apsam.files.atomic_path` calls this module before it
renames a file to its final name.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from apsam.errors import ApsamError, OutputError
from apsam.temporary_files import PREFIX

# Errors that reading does not cause.
OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# Write errors if they name a file in the output folder.
OF_THE_FOLDER = {
    errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EISDIR,
    errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ESTALE,
}  # fmt: skip
# Messages of libraries that don't pass on the system's error (safetensors, SQLite, libtiff).
SAYINGS = {
    "No space left on device": errno.ENOSPC,
    "os error 28": errno.ENOSPC,
    "disk is full": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "os error 122": errno.EDQUOT,
    "File too large": errno.EFBIG,
    "os error 27": errno.EFBIG,
    "Read-only file system": errno.EROFS,
    "readonly database": errno.EROFS,
    "os error 30": errno.EROFS,
    "TIFFAppendToStrip": errno.EIO,  # libtiff does not report the reason
    "Write failed": errno.EIO,
}
REMEDIES = {
    errno.EDQUOT: "make room in your quota, and run again",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), and run again",
    errno.EROFS: "write to another folder",
    errno.EACCES: "write to a folder that is yours, or change its permissions",
    errno.EPERM: "write to a folder that is yours, or change its permissions",
    errno.ENAMETOOLONG: "shorten the path",
    errno.EMFILE: "raise the number of open files (ulimit -n), and run again",
    errno.ENFILE: "close other programs, and run again",
}
# A disk with less free space counts as full: the partial file was removed again, or was never begun.
FULL = 1 << 20


# Bytes of a path that Python's SQLite opens (GDAL has its own way to open longer ones).
LONGEST_FOR_SQLITE = 500


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert an error of the file system to one that names the file and the remedy; other errors pass unchanged.

    Args:
        path: The output file, or something in its folder.

    Raises:
        OutputError: The disk is full, the folder cannot be written to, the name is too long, ...
    """
    try:
        yield
    except ApsamError:
        raise
    except Exception as error:
        number = _number(error, path)
        if number is None:
            raise
        raise OutputError(f"{path}: cannot be written ({os.strerror(number)}); {_remedy(number, path)}") from error


def _number(error: BaseException, path: Path) -> int | None:
    """Return the system's number of a write error anywhere in a chain of errors; None: another error."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        if isinstance(found, OSError) and (found.errno in OF_WRITING or _is_of(found, path)):
            return found.errno
        for saying, number in SAYINGS.items():
            if saying in str(found):
                return errno.ENOSPC if number == errno.EIO and _room(path.parent) < FULL else number
        found = found.__cause__ or found.__context__
    return errno.ENOSPC if _room(path.parent) < FULL else None


def _is_of(error: OSError, path: Path) -> bool:
    """Whether an error concerns `path`, a folder above it, or a temporary file next to it."""
    if error.errno not in OF_THE_FOLDER or not isinstance(error.filename, str | bytes | os.PathLike):
        return False
    named, target = (Path(os.path.abspath(os.fsdecode(file))) for file in (error.filename, path))
    folder = target.parent
    if target.is_relative_to(named):
        return True
    return named.is_relative_to(folder) and named.relative_to(folder).parts[0].startswith(PREFIX)


def _room(folder: Path) -> float:
    """Return the free bytes on the disk of a folder."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return float("inf")


def _remedy(number: int, path: Path) -> str:
    if number == errno.ENOSPC:
        return f"make room on the disk of {path.parent}, and run again"
    return REMEDIES.get(number, "see whether its folder is there and its disk has room, and run again")


def settle(path: Path) -> str | None:
    """Flush a closed file to disk, and read back files of GDAL or SQLite.

    Returns:
        The problem of the file; None if it is complete.
    """
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror
    check = {".tif": raster_problem, ".tiff": raster_problem, ".gpkg": database_problem}.get(path.suffix.lower())
    return check(path) if check is not None else None


def not_whole(path: Path, problem: str) -> OutputError:
    """Return the error for a file in which `settle` found a problem."""
    number = errno.ENOSPC if _room(path.parent) < FULL else errno.EIO
    return OutputError(f"{path}: was not written whole ({problem}); {_remedy(number, path)}")


def raster_problem(path: Path) -> str | None:
    """Return the problem of a GeoTIFF: blocks that are missing, beyond the file's end or cannot be decoded."""
    import rasterio
    from rasterio.errors import RasterioError

    size = path.stat().st_size
    try:
        with rasterio.open(path) as raster:
            levels = [None, *range(len(raster.overviews(1)))]
        for level in levels:
            with rasterio.open(path, **({} if level is None else {"overview_level": level})) as raster:
                for band in raster.indexes:
                    for (row, col), window in raster.block_windows(band):
                        offset, length = (
                            int(raster.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band) or 0)
                            for what in ("OFFSET", "SIZE")
                        )
                        if not offset or not length or offset + length > size:
                            return f"block {row}, {col} of band {band} is missing"
                        raster.read(band, window=window)
    except RasterioError as error:
        return f"it cannot be read back: {error}"
    return None


def database_problem(path: Path) -> str | None:
    """Return the problem of a GeoPackage."""
    if len(os.fsencode(os.path.abspath(path))) > LONGEST_FOR_SQLITE:
        return None
    try:
        with closing(sqlite3.connect(path)) as database:
            answer = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if answer != "ok":
                return str(answer)
            # GDAL writes the indexes when it closes the file, and reports a failure on stderr only.
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table, column in database.execute("SELECT table_name, column_name FROM gpkg_geometry_columns"):
                if f"rtree_{table}_{column}" not in tables:
                    return f"the spatial index of the layer {table} is missing"
    except sqlite3.Error as error:
        return f"it cannot be read back: {error}"
    return None
