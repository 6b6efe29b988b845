"""Recipes: everything that a file of the store is made from, and the key computed from it.

`workflow_support.stages` declares each stage as a function from a unit (a scene, a block of one, or `all`) to the
options of its command. The type of each value gives its role, so that the key, the inputs of the Snakemake rule and
the command line all come from the same options and always agree:

| value | on the command line | in the key |
|---|---|---|
| `Ref`: a file that another stage makes | its path | its path, which contains its key |
| `InputFile`: a file or folder of the user | its path | its content |
| `Section`: a section of the configuration, or some keys of it | as JSON | as JSON |
| `SheetFile`: the scene sheet, of which other values say what counts | its path | no |
| `Unkeyed`: device or threads, which change no result | its text | no |
| text, number, flag | as it is | as it is |
| `Named`: NAME=VALUE of any of these | both | both |
| `None` or an empty list | left out | no |
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from workflow_support.run import Run

STORE = "results/store"
KEY_DIGITS = 12
# Unit of a stage that has one job per run.
ALL = "all"
# File name of a stack, the outputs with prompts, and those of a table with its figure.
STACK = "{unit}.zarr.zip"
PROMPTS = {"output": "{unit}.json", "geojson": "{unit}.geojson"}
FIGURE = {"output": "{name}.json", "+csv": "{name}.csv", "+png": "{name}.png", "+svg": "{name}.svg"}


class Ref(NamedTuple):
    """A file that a stage makes.

    Attributes:
        stage, unit: The job that makes it.
        output: Name of its output; "" is the first one.
        changes: Changed keys of its variant (`Run.variant`); empty for the run itself.
    """

    stage: str
    unit: str = ALL
    output: str = ""
    changes: Mapping[str, Any] = {}


class InputFile(NamedTuple):
    """A file or folder of the user, with its layer if it has several."""

    path: Path
    layer: str | None = None


class SheetFile(NamedTuple):
    """The scene sheet, which a job reads: it must not be changed before."""

    path: Path


class Section(NamedTuple):
    """A section of the configuration, or those of its keys that the command uses."""

    name: str
    keys: tuple[str, ...] = ()


class Unkeyed(NamedTuple):
    """Text on the command line that changes no result."""

    text: str


class Named(NamedTuple):
    """An option's value of the form NAME=VALUE."""

    name: str
    value: Any


@dataclass(frozen=True)
class Job:
    """Everything that one unit of a stage is made from.

    Attributes:
        options: Name -> value or list of values (see above). `_`: arguments without a name, first. `files`: files that
            the command finds under their plain names (`apsam.store.job`), last.
        also: Values that affect the outputs and are not on the command line: name -> text, `InputFile`, or a list.
    """

    options: Mapping[str, Any]
    also: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stage: a kind of job.

    Attributes:
        name: Its folder in the store.
        outputs: Option -> file name; `{unit}` is replaced. Files that the command makes next to these
            have an option that begins with `+`, which is not on the command line.
        command: Command of `apsam.commands`: `module` or, where that has several, `module:function`.
        job: Function that returns the options of a unit.
        view: Folder of its files in a view; by default its name.
        folders: Folders of files that the command may make next to its outputs.
        units: Its units in a run: scenes, blocks, or `all`.
    """

    name: str
    outputs: Mapping[str, str]
    command: str
    job: Callable[[Run, str], Job]
    view: str = ""
    folders: tuple[str, ...] = ()
    units: Callable[[Run], Sequence[str]] = lambda run: [ALL]

    @property
    def script(self) -> str:
        """Return the script of the command: `prompts.py`, `masks.py masks-cam`."""
        module, _, function = self.command.partition(":")
        return f"{module}.py {function.replace('_', '-')}".rstrip()

    @property
    def plain_folder(self) -> str:
        """Return the folder of its files in a view."""
        return self.view or self.name

    def file(self, output: str = "") -> str:
        """Return the file name of an output, by default of the first."""
        return self.outputs[output] if output else next(iter(self.outputs.values()))


def figure_outputs(name: str) -> dict[str, str]:
    """Return the outputs of a table: JSON, CSV, and its figure as PNG and SVG."""
    return {option: file.format(name=name) for option, file in FIGURE.items()}


class Recipe:
    """The recipe of one unit of a stage in one configuration.

    Attributes:
        stage, unit: The job.
        key: Hash of everything that affects the outputs.
        inputs: Files of the store that the job reads.
    """

    def __init__(self, run: Run, stage: Stage, unit: str) -> None:
        self._run, self.stage, self.unit = run, stage, unit
        self._job = stage.job(run, unit)
        self.inputs = list(dict.fromkeys(run.path(ref) for ref in self._find(Ref)))
        self.key = self._key()

    @property
    def folder(self) -> str:
        """Return the folder of the outputs."""
        return f"{STORE}/{self.stage.name}/{self.unit}.{self.key}"

    def output(self, name: str = "") -> str:
        """Return the path of an output, by default of the first."""
        return f"{self.folder}/{self.stage.file(name).format(unit=self.unit)}"

    @property
    def outputs(self) -> dict[str, str]:
        """Return the path of every output, by option."""
        return {name: self.output(name) for name in self.stage.outputs}

    @cached_property
    def code(self) -> str:
        """Return the hash of the job's code."""
        return self._run.code.of_command(*self.stage.command.split(":"))

    def command(self, threads: int) -> str:
        """Return the command line of the job.

        Args:
            threads: CPU threads, for commands with this option.
        """
        words, files = [f"python scripts/{self.stage.script}"], []
        options = {**self._job.options}
        if "device" in options:
            options["threads"] = Unkeyed(str(threads))
        for name, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                if name == "files":
                    files.append(self._word(one))
                elif isinstance(one, bool):
                    words.append(f"--{'' if one else 'no-'}{name}")
                elif one is not None:
                    words += ([] if name == "_" else [f"--{name}"]) + [self._word(one)]
        for name, path in self.outputs.items():
            if not name.startswith("+"):
                words += [f"--{name}", shlex.quote(path)]
        words += ["--recipe", shlex.quote(json.dumps(self.facts(), sort_keys=True, ensure_ascii=False))]
        if len(files) > MANY:
            # Of some thousand scenes they are more than the arguments of a process may be.
            return f"printf '%s\\n' {' '.join(files)} | {' '.join([*words, '--files', '-'])}"
        return " ".join([*words, *(["--files", *files] if files else [])])

    def facts(self) -> dict[str, Any]:
        """Return the workflow's part of the recipe, as JSON values; `apsam.store.job` adds the job's part."""
        options = {name: value for name, value in self._job.options.items() if name not in ("files", "device")}
        sections = sorted({value for value in _flat(options.values()) if isinstance(value, Section)})
        plain = {
            name: value if isinstance(value, str | int | float | bool) else _shortened(_texts(value))
            for name, value in {**options, **self._job.also}.items()
            if name != "_" and (isinstance(value, str | int | float | bool) or _texts(value))
        }
        return {
            "folder": self.folder,
            "stage": self.stage.name,
            "unit": self.unit,
            "key": self.key,
            "view": self.stage.plain_folder,
            "code": self.code,
            "entry": self.stage.command,
            "settings": {section.name: self._run.section_values(section) for section in sections},
            "facts": plain,
            "given": self._given(),
            "given_files": self._given_files(),
        }

    def _given(self) -> dict[str, str]:
        """Return input files and the sheet, with their hashes; for very many, one hash of all."""
        digests = {str(path): self._run.given.digest(path) for path in self._paths()}
        if len(digests) > MANY:
            return {f"{len(digests)} files": _digest(sorted(digests.values()))}
        return digests

    def _given_files(self) -> dict[str, int]:
        """Return how many files are read with each input, by which a job notices that one was removed."""
        paths = self._paths()
        return {str(path): self._run.given.number(path) for path in paths} if len(paths) <= MANY else {}

    def _paths(self) -> list[Path]:
        return list(dict.fromkeys(given.path for given in self._find(InputFile, SheetFile)))

    def _key(self) -> str:
        keyed = {
            name: kept
            for name, value in {**self._job.options, **self._job.also}.items()
            if (kept := [text for one in _values(value) if (text := self._keyed(one)) is not None])
        }
        files = [*self.stage.outputs.values(), self.stage.plain_folder]
        return _digest([self.stage.name, self.unit, self.stage.script, files, self.code, keyed])[:KEY_DIGITS]

    def _keyed(self, value: Any) -> Any:
        match value:
            case None | Unkeyed() | SheetFile():
                return None
            case Ref():
                return self._run.path(value)
            case InputFile(path, layer):
                return [self._run.given.digest(path), *([layer] if layer else [])]
            case Section():
                return self._run.keyed_section(value)
            case Named(name, inner):
                return [name, self._keyed(inner)]
            case _:
                return value

    def _word(self, value: Any) -> str:
        return shlex.quote(self._text(value))

    def _text(self, value: Any) -> str:
        match value:
            case Ref():
                return self._run.path(value)
            case InputFile(path, layer):
                return f"{path}|layername={layer}" if layer else str(path)
            case SheetFile(path):
                return str(path)
            case Section():
                return self._run.section(value)
            case Unkeyed(text):
                return text
            case Named(name, inner):
                return f"{name}={self._text(inner)}"
            case _:
                return str(value)

    def _find(self, *kinds: type) -> Iterator[Any]:
        return (one for one in _flat([*self._job.options.values(), *self._job.also.values()]) if isinstance(one, kinds))


# Maximum number of files and texts that a recipe and a command line list one by one.
MANY = 200


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _flat(values: Sequence[Any] | Any) -> Iterator[Any]:
    for value in values:
        for one in _values(value):
            if isinstance(one, Named):
                yield from _flat([one.value])
            else:
                yield one


def _shortened(texts: list[str]) -> list[str]:
    return texts if len(texts) <= MANY else [f"{len(texts)} texts, {_digest(texts)}"]


def _texts(value: Any) -> list[str]:
    return [one for one in _values(value) if isinstance(one, str)]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
