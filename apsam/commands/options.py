"""Options shared by several commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from apsam.errors import ConfigError, InputError
from apsam.tiles.blocks import Block

Section = TypeVar("Section", bound=BaseModel)

Tiles = Annotated[Path, typer.Option(help="tile stack of the scene")]
Cams = Annotated[Path, typer.Option(help="CAM stack of the scene")]
Ground = Annotated[
    Path | None,
    typer.Option(help="label map of the scene's ground (ground-labels): excludes what negative tiles cover"),
]
LabelErrors = Annotated[
    Path | None, typer.Option(help="from label-errors: tiles whose label is not used", show_default=False)
]
Prompts = Annotated[Path, typer.Option(help="prompts of the scene, JSON")]
Seed = Annotated[int, typer.Option(min=0, help="seed of all that is random")]
LabelGate = Annotated[bool, typer.Option(help="leave out tiles labelled negative (the paper's released code does not)")]
BlockOption = Annotated[
    str, typer.Option("--block", metavar="N/COUNT", help="number and count of the shards of the scene, for example 2/5")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all by default", show_default=False)]
Sheet = Annotated[Path, typer.Option(help="scene sheet")]
DataDir = Annotated[Path | None, typer.Option(help="folder that the sheet's paths start from", show_default=False)]
Synthetic = Annotated[Path, typer.Option(help="folder of the synthetic scenes")]
Protocol = Annotated[str, typer.Option(help="held_out or as_released: named in the file")]


def named(argument: str) -> tuple[str, str]:
    """Split an argument `NAME=VALUE`; the value may contain further `=`.

    Raises:
        InputError: The argument has another form.
    """
    name, equals, value = argument.partition("=")
    if not (name and equals and value):
        raise InputError(f"'{argument}': give NAME=VALUE, for example apsam=results/demo/masks/apsam")
    return name, value


def read_block(text: str) -> Block:
    """Parse a block such as `2/5`."""
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise ConfigError(f"--block {text}: give number and count, for example 2/5")
    return Block(int(number), int(count))


Device = Annotated[str, typer.Option(help="auto (the least used GPU, else the CPU), cpu, cuda, cuda:1")]


def settings(model: type[Section], section: str) -> Any:
    """Make the option for a section of the configuration: JSON, or a configuration file with this section."""
    return typer.Option(
        parser=_reader(model, section),
        metavar="JSON|FILE",
        help=f"section `{section}`, as JSON or in a configuration file that has it; other keys have their defaults",
        show_default=False,
    )


def _reader(model: type[Section], section: str) -> Callable[[Any], Section]:
    def read(value: Any) -> Section:
        if isinstance(value, model):
            return value
        if value.lstrip().startswith("{"):
            return _checked(value, model, section)
        # Also a pipe, as of `--settings <(...)`.
        if not os.path.exists(value):
            raise ConfigError(f"{value}: neither JSON nor a configuration file")
        return _checked(_section_of(Path(value), section), model, section)

    return read


def _section_of(file: Path, section: str) -> Any:
    """Return a section of a configuration file, unchecked.

    Raises:
        ConfigError: The file has no such section. The defaults in its place would hide a wrong name, or a file of keys
            without sections.
    """
    from apsam.config_values import read_values

    found: Any = read_values(file)
    for name in section.split("."):
        if not isinstance(found, dict) or name not in found:
            keys = ", ".join(map(str, found)) if isinstance(found, dict) else found
            raise ConfigError(f"{file}: has no section '{section}' (it has: {keys}); leave it out for the defaults")
        found = {} if found[name] is None else found[name]
    return found


def _checked(values: Any, model: type[Section], section: str) -> Section:
    """Check a section, given as JSON or as values."""
    try:
        return model.model_validate_json(values) if isinstance(values, str) else model.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join([section, *map(str, problem["loc"])])
        raise ConfigError(f"{place}: {problem['msg']} (it is {problem['input']!r})") from None
