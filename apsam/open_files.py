"""A bounded number of open files, for runs with many stacks.

A process may open a limited number of files (`ulimit -n`, usually 1,024). A `PooledFile` is opened when it is read and
closed when many others have been read since; callers need not open or close it.
"""

from __future__ import annotations

import os
import resource
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apsam.errors import InputError

# Share of the limit that the pool uses; sockets, libraries and a loader's workers need files too.
SHARE = 4
FEWEST, MOST = 4, 256


class PooledFile(ABC):
    """A file that is read many times; the pool opens and closes it.

    Args:
        path: The file. It must not be replaced while it is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._handle: Any = None
        self._process = -1
        self._version: tuple[int, int, int] | None = None

    @abstractmethod
    def _open(self) -> Any:
        """Open the file and return what `opened` yields."""

    @abstractmethod
    def _close(self, handle: Any) -> None:
        """Close the object returned by `_open`."""

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Yield the object returned by `_open`, open until the end of the block.

        Raises:
            InputError: The file has been replaced since it was first read.
        """
        with self._lock:
            # A forked process shares the parent's file offset: it opens the file again.
            if self._handle is None or self._process != os.getpid():
                handle = self._open()
                try:
                    self._check_version()
                except BaseException:
                    self._close(handle)
                    raise
                self._handle, self._process = handle, os.getpid()
            _POOL.touch(self)
            yield self._handle

    def close(self) -> None:
        """Close the file if it is open; reading it opens it again."""
        with self._lock:
            handle, self._handle = self._handle, None
            if handle is not None:
                self._close(handle)
        _POOL.forget(self)

    def close_unless_read(self) -> bool:
        """Close the file unless another thread is reading it; return whether it is closed."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            handle, self._handle = self._handle, None
            if handle is not None:
                self._close(handle)
        finally:
            self._lock.release()
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the file closed, for the workers of a data loader."""
        return {**self.__dict__, "_lock": None, "_handle": None, "_process": -1}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def _check_version(self) -> None:
        status = os.stat(self.path)
        version = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self._version is None:
            self._version = version
        elif version != self._version:
            raise InputError(f"{self.path}: was replaced while it was read; run again")


class _Pool:
    """The open files of this process, the last read at the end."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._files: OrderedDict[int, PooledFile] = OrderedDict()

    def touch(self, file: PooledFile) -> None:
        """Record that `file` is open and read; close others if there are too many."""
        with self._lock:
            self._files[id(file)] = file
            self._files.move_to_end(id(file))
            surplus = len(self._files) - most_open()
            if surplus <= 0:
                return
            for key, other in list(self._files.items())[:surplus]:
                if other is not file and other.close_unless_read():
                    del self._files[key]

    def forget(self, file: PooledFile) -> None:
        """Record that `file` is closed."""
        with self._lock:
            self._files.pop(id(file), None)


def most_open() -> int:
    """Return how many files the pool keeps open: a share of this process's limit."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MOST
    return min(max(limit // SHARE, FEWEST), MOST)


_POOL = _Pool()
