"""Command that says what made a file of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def provenance(
    file: Annotated[Path, typer.Argument(help="a file that the workflow made", show_default=False)],
    upstream: Annotated[
        bool, typer.Option("--upstream", help="and what made its inputs, and theirs, in the order of the data")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Say what made a file of a run: command, settings, code, inputs, packages; and whether it is still that file."""
    from apsam.provenance import find_entry

    output, _, known = find_entry(file)
    names = _upstream(output, known) if upstream else [output]
    described = [_describe(name, known) for name in names]
    if as_json:
        print(json.dumps(described if upstream else described[0], indent=1, sort_keys=True))
        return
    environments = []
    for number, description in enumerate(described):
        environment = description.pop("packages")
        if environment not in environments:
            environments.append(environment)
        print("\n" * bool(number) + "\n".join(_lines(description)))
    for environment in environments:
        versions = [f"{name} {version}" for name, version in (environment or {}).items()]
        print(f"packages: {', '.join(versions) or 'not noted'}")


def _upstream(output: str, known: Any) -> list[str]:
    """A file and all that it was made from, inputs before outputs."""
    ordered: dict[str, None] = {}
    todo = [(output, False)]
    while todo:
        name, inputs_done = todo.pop()
        entry = known.of(name) if known.covers(name) else None
        if name in ordered or entry is None:
            continue
        if inputs_done:
            ordered[name] = None
        else:
            todo.append((name, True))
            todo += [(source, False) for source in reversed(entry["record"].get("input") or [])]
    return list(ordered)


def _describe(output: str, known: Any) -> dict[str, Any]:
    from apsam.provenance import state_of

    entry = known.of(output)
    record = entry["record"]
    return {
        "file": output,
        "state": state_of(known.path(output), entry["sha256"]),
        "sha256": entry["sha256"],
        "rule": record.get("rule"),
        "command": " ".join((record.get("shellcmd") or "").split()),
        "parameters": entry.get("parameters"),
        "inputs": {
            name: (record.get("input_checksums") or {}).get(name, "").removeprefix("sha256:")
            for name in record.get("input") or []
        },
        "packages": entry.get("environment"),
    }


def _lines(description: dict[str, Any]) -> list[str]:
    lines = []
    for key, value in description.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            for name, part in value.items():
                text = part if isinstance(part, str) else json.dumps(part, sort_keys=True)
                lines.append(f"  {name}: {text}" if text else f"  {name}")
        else:
            lines.append(f"{key}: {'not noted' if value is None else value}")
    return lines
