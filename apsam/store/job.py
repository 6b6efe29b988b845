"""Run a command as a job of the workflow: provide files under plain names, and write its recipe at the end.

    python scripts/metrics.py metrics-masks --tiles @files/tiles ... --recipe JSON --files STORE_FILE STORE_FILE ...

`--recipe` has the recipe as known to the workflow. For a command that reads folders of a run, `@files` is a temporary
folder with links to the files listed after `--files`, under their plain names (`tiles/valley.zarr.zip`). `--files -`
reads them from standard input, a file a line.
Without these two options a script is the plain command.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from apsam.code_hash import PACKAGE_ROOT, code_hash
from apsam.errors import InputError
from apsam.input_content import changed_since
from apsam.store.recipe import job_folder, read_recipe, store_of, write_recipe

FILES, RECIPE_OPTION, PLAIN, STDIN = "--files", "--recipe", "@files", "-"

# Environment variable: when the workflow was started, seconds since 1970.
STARTED_AT = "APSAM_STARTED_AT"
# Later than every date: nothing was changed since.
BY_HAND = math.inf


@contextmanager
def job_arguments(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Yield the arguments of the plain command; write the recipe if the `with` block ends without an error.

    Args:
        arguments: Of the process, without the program's name.
    """
    plain, files = _cut(list(arguments), FILES)
    if files == [STDIN]:
        files = sys.stdin.read().splitlines()
        arguments = [*plain, FILES, *files]
    plain, recipe = _take(plain, RECIPE_OPTION)
    known = json.loads(recipe) if recipe is not None else {}
    check_code(known.pop("entry", None), known.get("code"))
    given, numbers = known.get("given", {}), known.pop("given_files", {})
    # Before the work, which may take hours, and after it.
    check_given(given, numbers)
    with ExitStack() as stack:
        if files:
            folder = stack.enter_context(TemporaryDirectory(prefix="apsam_files_"))
            link_plain(map(Path, files), Path(folder))
            plain = [argument.replace(PLAIN, folder) for argument in plain]
        start = time.time()
        yield plain
    # Data may be read until the end; code was read at the start, and a long training outlives its change.
    check_given(given, numbers)
    if known and _writes_files():
        command = [sys.argv[0], *_take(list(arguments), RECIPE_OPTION)[0]]
        write_recipe(Path(known.pop("folder")), known, command, _cost(start))


def check_code(command: str | None, code: str | None) -> None:
    """Check that a command's code is that of its key, if a source file was changed since the run started.

    Args:
        command: Of `apsam.commands`: `module` or `module:function`.
        code: Hash of its code when the key was computed.

    Raises:
        InputError: The code was changed.
    """
    started = _started()
    # The date of the entry (ctime): a copy keeps that of the content (rsync -a). Locks of editors are links to nowhere.
    sources = (file for file in PACKAGE_ROOT.rglob("*.py") if file.is_file())
    if command is None or all(file.stat().st_ctime <= started for file in sources):
        return
    module, _, function = command.partition(":")
    if code_hash(PACKAGE_ROOT / "commands" / f"{module}.py", definition=function or module) != code:
        raise InputError("the code of this job was changed since the run started; start the run again")


def check_given(given: Mapping[str, str], numbers: Mapping[str, int]) -> None:
    """Check that input data are those of a job's key.

    Args:
        given: Path -> digest when the key was computed. What is not there has not been read since: it is left out, as
            is the one digest of very many files.
        numbers: Path -> how many files were read with it then.

    Raises:
        InputError: A file or folder was changed since the run started.
    """
    started = _started()
    if started == BY_HAND:
        return
    for path, digest in given.items():
        if Path(path).exists() and changed_since(Path(path), started, digest, numbers.get(path)):
            raise InputError(f"{path}: was changed since the run started; start the run again")


def _started() -> float:
    """When the workflow was started, seconds since 1970; `BY_HAND` of a command that is run by hand."""
    return float(os.environ.get(STARTED_AT, BY_HAND))


def plain_name(file: Path) -> str:
    """Return the name in a view of a file of the store: `masks/apsam/valley.zarr.zip`."""
    file = file.absolute()
    folder = job_folder(file, store_of(file))
    return f"{read_recipe(folder)['view']}/{file.relative_to(folder).as_posix()}"


def link_plain(files: Iterator[Path] | Sequence[Path], folder: Path) -> None:
    """Link files of the store into `folder` under their plain names.

    Raises:
        InputError: Two files have the same name.
    """
    for file in files:
        link = folder / plain_name(file)
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            link.symlink_to(file.absolute())
        except FileExistsError:
            raise InputError(f"{file}: another file of the job is called {plain_name(file)} too") from None


def _cut(arguments: list[str], option: str) -> tuple[list[str], list[str]]:
    if option not in arguments:
        return arguments, []
    place = arguments.index(option)
    return arguments[:place], arguments[place + 1 :]


def _take(arguments: list[str], option: str) -> tuple[list[str], str | None]:
    if option not in arguments:
        return arguments, None
    place = arguments.index(option)
    return arguments[:place] + arguments[place + 2 :], arguments[place + 1]


def _writes_files() -> bool:
    """Whether this process writes the outputs, of several processes that train together."""
    return all(os.environ.get(name, "0") in ("", "0") for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))


def _cost(start: float) -> dict[str, Any]:
    own, below = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "seconds": round(time.time() - start, 3),
        "cpu_seconds": round(own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime, 3),
        "peak_mb": round(max(own.ru_maxrss, below.ru_maxrss) / 1024, 1),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }
