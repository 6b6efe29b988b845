"""Read and write label tables and grids: labels by tile name, and the identity of the tiles."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from apsam.errors import InputError
from apsam.files import atomic_path, read_text
from apsam.labelling.identity import GRID_COLUMN, SCENE_COLUMN, GridIdentity, common_identity, parse_identity
from apsam.labelling.suggestions import Suggestions
from apsam.tiles.labels import (
    LABEL_COLUMNS,
    NAME_COLUMNS,
    UNLABELLED,
    find_column,
    is_tile_grid,
    parse_label,
    read_label_table,
)
from apsam.tiles.sources import label_kind
from apsam.vectors.columns import read_columns
from apsam.vectors.layers import LayerInfo, chosen_layers, layers_of, split_layer, with_layer

# The label is the last column, because a person fills it in.
COLUMNS = (SCENE_COLUMN, GRID_COLUMN, "tile", "label")

# A grid made from existing labels marks the empty tiles to look at first.
DOUBTFUL = "doubtful"


@dataclass(frozen=True)
class LabelTable:
    """Labels by tile.

    Attributes:
        path: File of the labels.
        labels: Name -> 0, 1 or 255 (empty).
        identity: Identity of the tiles; None if the file has none.
        doubtful: Tiles that a grid marks as doubtful.
    """

    path: Path
    labels: dict[str, int]
    identity: GridIdentity | None
    doubtful: frozenset[str] = frozenset()

    def check(self, wanted: GridIdentity | None, names: Iterable[str], what: str = "the scene") -> None:
        """Raise InputError if the labels are those of other tiles.

        Args:
            wanted: The tiles to label.
            names: Names of these.
            what: Name of the labels in the message.
        """
        if wanted is not None and self.identity is not None:
            difference = wanted.mismatch(self.identity)
            if difference:
                raise InputError(f"{self.path}: its labels are {difference}; nothing was changed")
        known = set(names)
        unknown = sorted(set(self.labels) - known)
        if unknown:
            example = min(known, key=lambda name: (len(name), name)) if known else "none"
            raise InputError(
                f"{self.path}: has labels for {len(unknown)} tile(s) that {what} does not have, for example "
                f"'{unknown[0]}' (one that it has: '{example}'); is it of another scene or tile size?"
            )


def read_table(path: Path) -> LabelTable:
    """Read a label table (CSV) or a labelled grid (vector layer), which may be empty.

    Raises:
        InputError: It cannot be read, a label is not 0, 1 or empty, a tile occurs twice, or its rows are
            of several scenes.
    """
    if not split_layer(path)[0].exists():
        raise InputError(f"{path}: no such label file")
    if label_kind(path) == "layer":
        labels, pairs, doubtful = _read_layer(path)
    else:
        doubtful = frozenset()
        labels = read_label_table(path, may_be_empty=True)
        pairs = _csv_pairs(path)
    return LabelTable(path, labels, _identity(path, pairs), doubtful)


def check_same_tiles(source: Path, wanted: GridIdentity) -> None:
    """Raise InputError if a label table or labelled grid is of another scene or grid.

    A raster of the same size at the same place is accepted, whatever the scene's name.

    Args:
        source: CSV table, or vector layer (`file.gpkg|layername=tiles`).
        wanted: The tiles to label.
    """
    if label_kind(source) == "layer":
        [layer, *_] = chosen_layers(source)
        pairs = _layer_pairs(source, layer)
    else:
        pairs = _csv_pairs(source)
    found = _identity(source, pairs)
    if found is None:
        return
    same_place = bool(found.place) and found.place == wanted.place
    difference = wanted.mismatch(replace(found, scene=wanted.scene) if same_place else found)
    if difference:
        raise InputError(
            f"{source}: its labels are {difference}; give the table of this scene and these tiles (apsam grid makes "
            f"one; its columns '{SCENE_COLUMN}' and '{GRID_COLUMN}' say which tiles it is of)"
        )


def _csv_pairs(path: Path) -> list[tuple[str, str]]:
    """Return scene and grid of every row."""
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    columns = [find_column(rows.fieldnames or (), [name]) for name in (SCENE_COLUMN, GRID_COLUMN)]
    cells = [[(row[column] or "").strip() if column else "" for column in columns] for row in rows]
    return [(scene, grid) for scene, grid in cells]


def _layer_pairs(path: Path, layer: LayerInfo) -> list[tuple[str, str]]:
    """Return scene and grid of every feature."""
    columns = [find_column(layer.fields, [name]) for name in (SCENE_COLUMN, GRID_COLUMN)]
    known = [column for column in columns if column]
    if not known:
        return []
    table = read_columns(path, known)
    texts = [_texts(table[column]) if column else [""] * len(table) for column in columns]
    return list(zip(*texts, strict=True))


def _identity(path: Path, pairs: Sequence[tuple[str, str]]) -> GridIdentity | None:
    try:
        # Columns of these names with other content are the user's own.
        return common_identity([pair for pair in pairs if parse_identity(*pair) is not None])
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _texts(column: pd.Series) -> list[str]:
    """Return a column as text, empty for missing values."""
    return column.fillna("").astype(str).tolist()


def find_grid_layer(path: Path) -> LayerInfo | None:
    """Return the layer of a vector file that is a tile grid (columns `tile` and `label`); None if there is none.

    Args:
        path: The file, `|layername=` for one of its layers.

    Raises:
        InputError: GDAL cannot read the file.
    """
    file, named = split_layer(path)
    for layer in layers_of(path) if named is None else chosen_layers(path):
        columns = [column for name in ("tile", "label") if (column := find_column(layer.fields, [name]))]
        if len(columns) == 2:
            table = read_columns(with_layer(file, layer.name), columns)
            if is_tile_grid(*(table[column] for column in columns)):
                return layer
    return None


def _read_layer(path: Path) -> tuple[dict[str, int], list[tuple[str, str]], frozenset[str]]:
    layer = find_grid_layer(path)
    if layer is None:
        raise InputError(f"{path}: is not a tile grid; it lacks the columns 'tile' and 'label' (apsam grid makes one)")
    source = with_layer(split_layer(path)[0], layer.name)
    name, label, doubtful = (find_column(layer.fields, [column]) for column in ("tile", "label", DOUBTFUL))
    table = read_columns(source, [column for column in (name, label, doubtful) if column])
    if table[name].duplicated().any():
        raise InputError(f"{path}: tile '{table[name][table[name].duplicated()].iloc[0]}' occurs twice")
    tiles, values = _texts(table[name]), table[label].astype(object).where(table[label].notna(), None)
    labels = {tile: parse_label(value, f"{path}, tile '{tile}'") for tile, value in zip(tiles, values, strict=True)}
    looked_for = table[doubtful].fillna(False).astype(bool) if doubtful else [False] * len(tiles)
    marked = frozenset(tile for tile, marked in zip(tiles, looked_for, strict=True) if marked)
    return labels, _layer_pairs(source, layer), marked


def write_table(path: Path, identity: GridIdentity, names: Sequence[str], labels: Sequence[int]) -> None:
    """Write a label table: scene, grid, tile, label; an empty label is 255."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, label in zip(names, labels, strict=True):
            writer.writerow((identity.scene, identity.text, name, "" if label == UNLABELLED else int(label)))


def fill_table(path: Path, labels: dict[str, int]) -> None:
    """Set labels of a CSV table; other columns, rows and their order, line ends and a byte order mark are kept."""
    path = path.resolve()  # a link stays a link
    text = read_text(path)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    header = rows[0]
    columns = find_column(header, NAME_COLUMNS), find_column(header, LABEL_COLUMNS)
    name, label = (header.index(column) for column in columns if column is not None)
    for row in rows[1:]:
        if len(row) > name and (tile := row[name].strip()) in labels:
            row.extend([""] * (label + 1 - len(row)))
            row[label] = str(labels[tile])
    encoding = "utf-8-sig" if path.read_bytes().startswith(codecs.BOM_UTF8) else "utf-8"
    with atomic_path(path) as partial, partial.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator="\r\n" if "\r\n" in text else "\n").writerows(rows)


def fill_grid(path: Path, labels: dict[str, int]) -> None:
    """Set labels of a GeoPackage grid in one transaction, in place: layers, styles and columns are kept.

    It works while QGIS has the file open, whose saved labels are in a file next to it (write-ahead log).

    Raises:
        InputError: Another program is writing to it.
    """
    _update(path, {}, "label = ?", [(label, tile) for tile, label in labels.items()])


def fill_suggestions(path: Path, suggestions: Suggestions) -> int:
    """Write suggestions into the columns `look_rank`, `check_rank` and `suggestion` of a GeoPackage grid.

    Labels and all other columns are kept; existing ranks are replaced.

    Returns:
        Number of tiles that have a rank.

    Raises:
        InputError: It is not a grid, or is of a scene without suggestions.
    """
    if path.suffix.lower() != ".gpkg":
        raise InputError(f"{path}: suggestions are written into a GeoPackage grid (.gpkg)")
    table = read_table(path)
    if table.identity is None:
        raise InputError(f"{path}: does not say which scene it is of; make the grid again (apsam grid)")
    own = [entry for entry in suggestions.entries if entry.scene == table.identity.scene]
    unknown = [entry.tile for entry in own if entry.tile not in table.labels]
    if unknown or not own:
        what = f"the tile '{unknown[0]}', which it does not have" if unknown else "no tile of its scene"
        raise InputError(f"{path}: the suggestions name {what} ('{table.identity.scene}'); is it the grid of the run?")
    columns = {"look_rank": "MEDIUMINT", "check_rank": "MEDIUMINT", "suggestion": "TEXT"}
    values = [
        (
            entry.rank if entry.kind == "look" else None,
            entry.rank if entry.kind == "check" else None,
            entry.why,
            entry.tile,
        )
        for entry in own
    ]
    empty = [(None, None, None, tile) for tile in table.labels]
    _update(path, columns, "look_rank = ?, check_rank = ?, suggestion = ?", [*empty, *values])
    return len(own)


def _update(path: Path, columns: Mapping[str, str], assignments: str, values: Sequence[tuple]) -> None:
    """Update rows of a grid by tile name; missing columns are added."""
    import sqlite3

    layer = find_grid_layer(path)
    assert layer is not None
    name = layer.name
    quoted = '"' + name.replace('"', '""') + '"'
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as database:
        # Triggers of the spatial index use these functions, although no geometry changes here.
        for function in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            database.create_function(function, 1, lambda _: 0)
        try:
            database.execute("BEGIN IMMEDIATE")
            there = {row[1] for row in database.execute(f"PRAGMA table_info({quoted})")}
            for column, kind in columns.items():
                if column not in there:
                    database.execute(f"ALTER TABLE {quoted} ADD COLUMN {column} {kind}")
            database.executemany(f"UPDATE {quoted} SET {assignments} WHERE tile = ?", values)
            database.execute(
                "UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE table_name = ?",
                (name,),
            )
            database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{path}: cannot be written to ({error}); if it is open in QGIS, save and leave the edit mode there"
            ) from error
