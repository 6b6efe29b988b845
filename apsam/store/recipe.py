"""The recipe next to the outputs of a job: settings, inputs with checksums, code, packages, command, time taken."""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from apsam import __version__
from apsam.errors import InputError
from apsam.files import read_json, sha256_file, write_json

RECIPE = "recipe.json"
SCHEMA = 1


def read_recipe(folder: Path) -> dict[str, Any]:
    """Read the recipe of a folder of the store.

    Raises:
        InputError: There is none, or it is not JSON.
    """
    recipe = read_json(folder / RECIPE)
    if not isinstance(recipe, dict) or recipe.get("schema") != SCHEMA:
        raise InputError(f"{folder / RECIPE}: not a recipe of this version of apsam; remove {folder} and run again")
    return recipe


def write_recipe(folder: Path, known: Mapping[str, Any], arguments: Sequence[str], cost: Mapping[str, Any]) -> None:
    """Write the recipe of a finished job next to its outputs.

    Args:
        folder: Folder of the job's outputs, `<store>/<stage>/<unit>.<key>`.
        known: The workflow's part: `stage`, `unit`, `key`, `view`, `code`, `settings`, `facts`, `given`.
        arguments: Command line of the job.
        cost: Run time, memory, time of the end.
    """
    store = store_of(folder)
    outputs = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != RECIPE)
    named = {file.relative_to(folder).as_posix(): file for file in outputs if not file.name.startswith(".")}
    write_json(
        folder / RECIPE,
        {
            "schema": SCHEMA,
            **known,
            **cost,
            "command": shlex.join(arguments),
            "inputs": {file: _checksum(store, file) for file in _inputs(arguments, folder)},
            "outputs": {name: {"bytes": f.stat().st_size, "sha256": sha256_file(f)} for name, f in named.items()},
            "packages": packages(),
        },
    )


def store_of(folder: Path) -> Path:
    """Return the store of a folder: the nearest folder above it called `store`.

    Raises:
        InputError: It is not in a store.
    """
    found = next((above for above in folder.absolute().parents if above.name == "store"), None)
    if found is None:
        raise InputError(f"{folder}: is not in a store (results/store)")
    return found


def upstream(folder: Path) -> Iterator[Path]:
    """Return the input folders of a job, and those of their inputs: inputs before outputs, each once."""
    store, seen = store_of(folder), set()
    todo = [(folder.absolute(), False)]
    while todo:
        here, inputs_done = todo.pop()
        if inputs_done:
            yield here
        elif here not in seen:
            seen.add(here)
            todo.append((here, True))
            if (here / RECIPE).is_file():
                todo += [(before, False) for before in reversed(input_folders(here, store))]


def input_folders(folder: Path, store: Path) -> list[Path]:
    """Return the folders of the store with the inputs of a job."""
    names = read_recipe(folder).get("inputs", {})
    return list(dict.fromkeys(job_folder(store / name, store) for name in names))


def job_folder(file: Path, store: Path) -> Path:
    """Return the folder `<stage>/<unit>.<key>` of a file of the store."""
    for folder in (file, *file.parents):
        if KEYED.search(folder.name) and folder.is_relative_to(store):
            return folder
    raise InputError(f"{file}: is not in a job's folder of {store}")


# Unit and key: the last part of the name of a job's folder.
KEYED = re.compile(r"^(?P<unit>.+)\.(?P<key>[0-9a-f]{12})$")
# A file of the store in an argument, which may be NAME=FILE or FILE,FILE.
_FILE = re.compile(r"(?:^|[=,])([^=,]*?(?:^|/)store/[^,]+)")


def _inputs(arguments: Sequence[str], folder: Path) -> list[str]:
    """Return the store's files among the arguments of a job, without its own outputs, relative to the store."""
    found: dict[str, None] = {}
    store = store_of(folder)
    for argument in arguments:
        for text in _FILE.findall(argument):
            path = Path(text).absolute()
            if path.is_relative_to(store) and not path.is_relative_to(folder.absolute()) and path.exists():
                found[path.relative_to(store).as_posix()] = None
    return list(found)


def _checksum(store: Path, name: str) -> str | None:
    """Return the SHA-256 of an input, from the recipe next to it."""
    file = store / name
    folder = job_folder(file, store)
    try:
        outputs = read_recipe(folder)["outputs"]
    except (InputError, KeyError):
        return None
    digest: str | None = outputs.get(file.relative_to(folder).as_posix(), {}).get("sha256")
    return digest


# Extras whose packages no job uses.
NO_JOB = re.compile(r"extra == .(dev|docs|bench|workflow|dvc)\b")


@cache
def packages() -> dict[str, str]:
    """Return versions of Python and of every package that jobs may use, by name, including installed extras."""
    try:
        requirements = metadata.requires("apsam") or []
    except metadata.PackageNotFoundError:
        requirements = []
    names = [re.match(r"[\w.-]+", text) for text in requirements if not NO_JOB.search(text)]
    versions = {"python": platform.python_version(), "apsam": __version__}
    for name in sorted({match[0].lower() for match in names if match}):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
