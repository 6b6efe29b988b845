"""Run a command as a job of the workflow: provide files under plain names, and write its recipe at the end.

    python scripts/metrics.py metrics-masks --tiles @files/tiles ... --recipe JSON --files STORE_FILE STORE_FILE ...

`--recipe` has the recipe as known to the workflow. For a command that reads folders of a run, `@files` is a temporary
folder with links to the files listed after `--files`, under their plain names (`tiles/valley.zarr.zip`).
Without these two options a script is the plain command.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from apsam.errors import InputError
from apsam.store.recipe import job_folder, read_recipe, store_of, write_recipe

FILES, RECIPE_OPTION, PLAIN = "--files", "--recipe", "@files"


@contextmanager
def job_arguments(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Yield the arguments of the plain command; write the recipe if the `with` block ends without an error.

    Args:
        arguments: Of the process, without the program's name.
    """
    plain, files = _cut(list(arguments), FILES)
    plain, recipe = _take(plain, RECIPE_OPTION)
    with ExitStack() as stack:
        if files:
            folder = stack.enter_context(TemporaryDirectory(prefix="apsam_files_"))
            link_plain(map(Path, files), Path(folder))
            plain = [argument.replace(PLAIN, folder) for argument in plain]
        start = time.time()
        yield plain
    if recipe is not None and _writes_files():
        known = json.loads(recipe)
        command = [sys.argv[0], *_take(list(arguments), RECIPE_OPTION)[0]]
        write_recipe(Path(known.pop("folder")), known, command, _cost(start))


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
