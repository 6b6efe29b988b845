"""Commands that show and empty the shelves of runs: results of earlier settings, kept to come back with them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

shelf_app = typer.Typer(
    no_args_is_help=True, help="Results of earlier settings, which come back when the settings do (config: shelf_gb)."
)

Runs = Annotated[
    list[Path] | None, typer.Argument(help="folders of runs; all in results/ by default", show_default=False)
]


@shelf_app.command("list")
def list_versions(runs: Runs = None) -> None:
    """List the versions that are not in place: what made them, with which other settings, the space only they take."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("run", "last in place", "made by", "files", "MB", "with, unlike what is in place"):
        table.add_column(column, overflow="fold", justify="right" if column in ("files", "MB") else "left")
    total = 0
    for shelf in _shelves(runs):
        rows: dict[tuple[str, str, str], list[int]] = {}
        for version in shelf.versions():
            if _is_in_place(shelf.results, version):
                continue
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(version.used))
            row = rows.setdefault((used, version.rule, _difference(shelf.results, version)), [0, 0])
            row[0] += len(version.files)
            row[1] += version.own_bytes
            total += version.own_bytes
        for (used, rule, difference), (files, size) in rows.items():
            table.add_row(shelf.results.name, used, rule, str(files), f"{size / 1e6:.1f}", difference)
    Console().print(table if table.row_count else "Nothing is on the shelf.")
    if table.row_count:
        print(f"{total / 1e6:.1f} MB that nothing else holds. Empty it with: apsam shelf clear")


@shelf_app.command()
def clear(
    runs: Runs = None,
    older_than: Annotated[float, typer.Option(help="only what was last in place more than so many days ago")] = 0,
) -> None:
    """Remove what is on the shelf. Results in place stay; earlier ones will be made again where they are wanted."""
    for shelf in _shelves(runs):
        removed = [version for version in shelf.versions() if time.time() - version.used >= older_than * 86400]
        size = sum(version.own_bytes for version in removed)
        if older_than:
            for version in removed:
                shelf.drop(version)
        else:
            shelf.clear()
        print(f"{shelf.results}: {len(removed)} versions removed, {size / 1e6:.1f} MB free")


def _shelves(runs: list[Path] | None) -> list[Any]:
    from apsam.errors import InputError
    from apsam.shelf import Shelf, shelves

    for run in runs or []:
        if not run.is_dir():
            raise InputError(f"{run}: no such folder; name the folder of a run, for example results/demo")
    return [Shelf(run) for run in runs] if runs else list(shelves())


def _is_in_place(results: Path, version: Any) -> bool:
    files = [(version.path(name), results / name) for name in version.files]
    return all(here.exists() and os.path.samefile(there, here) for there, here in files if not there.is_dir())


def _difference(results: Path, version: Any) -> str:
    """The settings of a version that are not those of what is in place."""
    from apsam.provenance import Provenance, flatten
    from apsam.shelf import CHANGED

    if version.key.startswith(CHANGED):
        return "changed by hand"
    name, entry = next(iter(version.files.items()))
    known = Provenance(results, f"results/{results.name}")
    here = known.of(f"results/{results.name}/{name}") or {}
    then, now = (flatten(side.get("parameters") or {}) for side in (entry, here))
    different = [f"{key}: {value}" for key, value in sorted(then.items()) if now.get(key) != value]
    return ", ".join(different) or "other inputs"
