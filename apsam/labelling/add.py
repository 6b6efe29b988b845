"""Add labels from a table to a grid or table; existing labels and other columns are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apsam.errors import InputError
from apsam.labelling.identity import GridIdentity
from apsam.labelling.tables import LabelTable, fill_grid, fill_table, read_table, write_table
from apsam.tiles.labels import UNLABELLED
from apsam.vectors.formats import VECTOR_SUFFIXES


@dataclass(frozen=True)
class Added:
    """Result of adding labels.

    Attributes:
        new: Tiles that had no label.
        replaced: Tiles whose label was changed.
        same: Tiles that had the same label.
        kept: Tiles that have a label and are empty in the table: they are not changed.
        empty: Tiles that still have no label.
    """

    new: int
    replaced: int
    same: int
    kept: int
    empty: int


def add_labels(
    files: Sequence[Path],
    output: Path,
    scene: GridIdentity | None = None,
    replace: bool = False,
    names: Sequence[str] | None = None,
) -> Added:
    """Add the labels of tables to a grid or table.

    Args:
        files: Tables from the label page, or labelled grids; all of the same tiles.
        output: Grid (.gpkg) or table (.csv) to add to. A missing table is created.
        scene: The tiles of the scene, if known: needed for files without the columns `scene`
            and `grid`.
        replace: Replace existing labels that the files contradict.
        names: Names of the scene's tiles, if known; labels of others are refused.

    Raises:
        InputError: A file is of other tiles, or labels contradict each other; then nothing is changed.
    """
    tables = [read_table(file) for file in files]
    target = read_table(output) if output.exists() else None
    _check_output(output, target)
    wanted = scene or (target.identity if target else None) or next((t.identity for t in tables if t.identity), None)
    if target is not None and scene is not None:
        target.check(scene, target.labels if names is None else names)
    if target is not None and wanted is not None and target.identity is None and scene is None:
        raise InputError(
            f"{output}: does not name its scene; name the scene's image too, so that its tiles can be "
            f"compared: apsam label IMAGE --add {files[0]} -o {output}"
        )
    there = dict(target.labels) if target else dict.fromkeys(names or _names(tables), UNLABELLED)
    given: dict[str, int] = {}
    for table in tables:
        table.check(wanted, there, str(output))
        if target is not None and table.identity is None and set(table.labels) != set(there):
            raise InputError(
                f"{table.path}: does not name its scene, and lists {len(table.labels)} of the "
                f"{len(there)} tiles of {output}; give a table that lists all of them"
            )
        for name, label in table.labels.items():
            if label == UNLABELLED:
                continue
            if given.setdefault(name, label) != label:
                raise InputError(f"{table.path}: tile '{name}' has another label than in an earlier file")
    differing = [name for name, label in given.items() if there[name] not in (UNLABELLED, label)]
    if differing and not replace:
        name = differing[0]
        raise InputError(
            f"{output}: {len(differing)} tile(s) have another label there, for example '{name}' ({there[name]}, and "
            f"{given[name]} in {files[0].name}); nothing was changed. --replace uses the labels of the file"
        )
    changes = {name: label for name, label in given.items() if there[name] != label}
    if target is None:
        identity = wanted or next((table.identity for table in tables if table.identity), None)
        if identity is None:
            raise InputError(f"{output}: does not exist, and {files[0]} does not name its scene")
        write_table(output, identity, list(there), [given.get(name, UNLABELLED) for name in there])
    elif changes:
        (fill_grid if output.suffix.lower() == ".gpkg" else fill_table)(output, changes)
    new = sum(there[name] == UNLABELLED for name in changes)
    kept = sum(label != UNLABELLED and name not in given for name, label in there.items())
    empty = sum(label == UNLABELLED and name not in given for name, label in there.items())
    return Added(new, len(changes) - new, len(given) - len(changes), kept, empty)


def _names(tables: Sequence[LabelTable]) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table.labels))


def _check_output(output: Path, target: LabelTable | None) -> None:
    suffix = output.suffix.lower()
    if suffix in VECTOR_SUFFIXES and suffix != ".gpkg":
        raise InputError(f"{output}: labels are added to a GeoPackage (.gpkg) or a table (.csv)")
    if target is None and suffix != ".csv":
        raise InputError(f"{output}: is not there; make it first (apsam grid), or name a table (.csv) to make")
