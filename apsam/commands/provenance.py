"""Command that shows how a file of a run was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def provenance(
    file: Annotated[Path, typer.Argument(help="a file that the workflow made", show_default=False)],
    upstream: Annotated[
        bool, typer.Option("--upstream", help="also for all its inputs, in the order of the data")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show how a file of a run was made (command, settings, code, inputs, packages), and whether it is unchanged."""
    from apsam.store.recipe import job_folder, store_of
    from apsam.store.recipe import upstream as upstream_of
    from apsam.store.view import stored_file

    stored = stored_file(file)
    folder = job_folder(stored, store_of(stored))
    folders = list(upstream_of(folder)) if upstream else [folder]
    described = [_describe(one, file if one == folder else None, stored) for one in folders]
    if as_json:
        print(json.dumps(described if upstream else described[0], indent=1, sort_keys=True))
        return
    packages: list[Any] = []
    for number, description in enumerate(described):
        if (versions := description.pop("packages", None)) not in packages:
            packages.append(versions)
        print("\n" * bool(number) + "\n".join(_lines(description)))
    for versions in packages:
        listed = ", ".join(f"{name} {version}" for name, version in (versions or {}).items())
        print(f"packages: {listed or 'not recorded'}")


def _describe(folder: Path, file: Path | None, stored: Path) -> dict[str, Any]:
    """Return the recipe of a job, with the state of each of its outputs."""
    from apsam.store.recipe import read_recipe
    from apsam.store.verify import state_of

    recipe = read_recipe(folder)
    outputs = recipe.pop("outputs", {})
    asked = (
        {"file": str(file), "state": state_of(file, outputs.get(stored.relative_to(folder).as_posix()))} if file else {}
    )
    states = {name: state_of(folder / name, known) for name, known in outputs.items()}
    return {
        **asked,
        "folder": str(folder),
        "outputs": states,
        **{key: value for key, value in recipe.items() if key != "schema"},
    }


def _lines(description: Mapping[str, Any]) -> list[str]:
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
