"""What made each file of a run: kept in `results/<run>/.provenance/<stage>.json`, beside the files.

An entry has the file's SHA-256, Snakemake's record of its job (`record`: rule, command, code, parameters as text,
inputs and their SHA-256), the job's parameters by name (`parameters`: the parts of the configuration, the hash of the
code, the hash of SAM's weights) and the versions it ran with (`environment`).
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from apsam import __version__
from apsam.errors import InputError
from apsam.files import read_json, sha256_file, write_json

FOLDER = ".provenance"

# Digits of the hash that stands for an environment in a stage's file.
ENVIRONMENT_DIGITS = 12


class Provenance:
    """What made the files of the run in the folder `results`, read at once and written on `save`.

    Args:
        results: Where the run's folder lies.
        name: The folder as the workflow names it (`results/demo`); by default the same.
    """

    def __init__(self, results: Path | str, name: Path | str | None = None) -> None:
        self.results = Path(results)
        self.name = Path(name or results)
        self._stages: dict[str, dict[str, dict[str, Any]]] = {}
        self._changed: set[str] = set()
        for file in sorted((self.results / FOLDER).glob("*.json")):
            self._stages[file.stem] = _read_stage(file)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every file, as the workflow names it, with its entry."""
        for stage in self._stages.values():
            yield from stage.items()

    def of(self, output: str) -> dict[str, Any] | None:
        """The entry of a file; None where nothing is known."""
        return self._stages.get(self._stage(output), {}).get(output)

    def put(self, output: str, entry: Mapping[str, Any]) -> None:
        """Set the entry of a file: `sha256`, `record`, `parameters`, `environment`."""
        stage = self._stage(output)
        self._stages.setdefault(stage, {})[output] = dict(entry)
        self._changed.add(stage)

    def forget_missing(self) -> None:
        """Drop the entries of files that are not there."""
        for name, stage in self._stages.items():
            missing = [output for output in stage if not self.path(output).exists()]
            for output in missing:
                del stage[output]
            if missing:
                self._changed.add(name)

    def save(self) -> None:
        """Write the stages that changed."""
        for name in sorted(self._changed):
            _write_stage(self.results / FOLDER / f"{name}.json", self._stages[name])
        self._changed.clear()

    def covers(self, output: str) -> bool:
        """Whether a file, as the workflow names it, is one of the run."""
        return Path(output).is_relative_to(self.name)

    def path(self, output: str) -> Path:
        """Where a file of the run lies."""
        return self.results / Path(output).relative_to(self.name)

    def _stage(self, output: str) -> str:
        return Path(output).relative_to(self.name).parts[0]


def find_entry(file: Path) -> tuple[str, dict[str, Any], Provenance]:
    """What made a file of any run, wherever the run's folder lies.

    Returns:
        The file's name in the workflow, its entry, and all that is known of its run.

    Raises:
        InputError: The file lies in no run, or nothing is known of it.
    """
    path = file.absolute()
    run = next((folder for folder in path.parents if (folder / FOLDER).is_dir()), None)
    if run is None:
        raise InputError(f"{file}: lies in no run: no folder above it has a {FOLDER}/")
    provenance = Provenance(run, Path(*run.parts[-2:]))
    output = (provenance.name / path.relative_to(run)).as_posix()
    entry = provenance.of(output)
    if entry is None:
        raise InputError(f"{file}: nothing says what made it; files get their entry in {run / FOLDER} when a run ends")
    return output, entry, provenance


def state_of(file: Path, sha256: str) -> str:
    """`as made`, `changed since it was made` or `not there`."""
    if not file.exists():
        return "not there"
    if file.is_dir():
        return "a folder, which is not checked"
    return "as made" if sha256_file(file) == sha256 else "changed since it was made"


def flatten(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Parameters as `section.key: value`."""
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@cache
def environment() -> dict[str, str]:
    """Versions of Python and of every package that `apsam` asks for, by name."""
    try:
        requirements = metadata.requires("apsam") or []
    except metadata.PackageNotFoundError:
        requirements = []
    names = {re.match(r"[\w.-]+", text)[0].lower() for text in requirements if "extra ==" not in text}
    versions = {"python": platform.python_version(), "apsam": __version__}
    for name in sorted(names):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _read_stage(file: Path) -> dict[str, dict[str, Any]]:
    try:
        stored = read_json(file)
        environments = stored["environments"]
        return {
            output: {**entry, "environment": environments.get(entry["environment"])}
            for output, entry in stored["files"].items()
        }
    except (InputError, KeyError, TypeError, AttributeError):
        # Of an older version, or half of it: as if nothing were known.
        return {}


def _write_stage(file: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    environments: dict[str, Any] = {}
    files = {}
    for output, entry in entries.items():
        text = json.dumps(entry.get("environment"), sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:ENVIRONMENT_DIGITS]
        environments[name] = entry.get("environment")
        files[output] = {**entry, "environment": name}
    value = {"files": files, "environments": environments}
    try:
        same = read_json(file) == value
    except InputError:
        same = False
    if not same:
        write_json(file, value)
