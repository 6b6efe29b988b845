"""Errors that a user can cause and fix."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path


class ApsamError(Exception):
    """The input, the configuration or the machine does not allow the work to continue.

    The message names what is wrong, where, and what to do; command line tools print it without a traceback and end with
    `exit_code`.
    """

    exit_code = 2


class _OneLine(ApsamError):
    """An error whose message may quote a message of a library with several lines."""

    def __init__(self, message: object) -> None:
        super().__init__("; ".join(line.strip() for line in str(message).splitlines() if line.strip()))


class InputError(_OneLine):
    """A scene, label file, mask or checkpoint cannot be used."""


class OutputError(_OneLine):
    """A file cannot be written: a full disk, a read-only folder, a name that is too long."""

    exit_code = 74  # EX_IOERR of sysexits.h


class ConfigError(ApsamError):
    """A key or value of the configuration cannot be used."""


class Interrupted(ApsamError):
    """A signal stopped the work; the same command resumes it."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


def first_cause(error: BaseException) -> str:
    """What a library said first: rasterio's own errors only point to it ("See previous exception for details")."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return str(getattr(error, "errmsg", None) or error)


def no_such(kind: str, path: Path) -> InputError:
    """Return the error for a missing file that the scene sheet names."""
    try:
        there = alike(path.name, os.listdir(path.parent))
    except OSError:
        there = None
    hint = f"; there is {there!r}, with other capital letters or accents" if there else ""
    if "\\" in path.name:
        hint = "; write '/' between folders, not '\\'"
    return InputError(
        f"{path}: no such {kind}{hint}; check the path in the scene sheet (relative paths start at "
        f"the configuration's 'data_dir', or, where it has none, at the sheet's folder)"
    )


def alike(name: str, names: Iterable[str]) -> str | None:
    """Return a name that looks alike: with other capital letters, or accents that are stored in another way."""

    def plain(text: str) -> str:
        return unicodedata.normalize("NFC", text).casefold()

    return next((other for other in names if plain(other) == plain(name)), None)
