"""Image-level labels given per tile: tables, and grids labelled in a GIS."""

from __future__ import annotations

import csv
import io
import logging
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apsam.errors import InputError, alike, no_such
from apsam.file_content import content_hint
from apsam.files import read_text
from apsam.vectors.columns import read_columns
from apsam.vectors.layers import chosen_layers

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

NAME_COLUMNS = ("tile", "image", "name", "file")
LABEL_COLUMNS = ("label", "landslide", "positive")
OUTLINE_COLUMNS = ("wkt", "geometry", "geom", "the_geom")
PLACE_COLUMNS = ("lat", "latitude", "lon", "lng", "long", "longitude", "x", "y", "easting", "northing")

# Value for a tile without a label, which is used for neither training nor evaluation.
UNLABELLED = 255

LABELS = {"0": 0, "1": 1, "false": 0, "true": 1, "": UNLABELLED, "nan": UNLABELLED, "<na>": UNLABELLED}

TILE_NAME = re.compile(r"r\d+_c\d+")


def tile_name(row: int, col: int) -> str:
    """Return the name of a raster scene's tile in a label table: `r154_c308` starts at pixel row 154, column 308."""
    return f"r{row}_c{col}"


def parse_label(value: Any, where: str) -> int:
    """Parse an image-level label: 0, 1 (also `1.0`, true), or 255 if it is empty.

    Raises:
        InputError: It has another value.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNLABELLED
    text = str(value).strip().lower()
    number = re.fullmatch(r"([01])\.0*", text)
    if number:
        text = number[1]
    if text not in LABELS:
        raise InputError(f"{where}: label '{value}' is not 0, 1 or empty (not labelled)")
    return LABELS[text]


def read_label_table(path: Path, may_be_empty: bool = False) -> dict[str, int]:
    """Read a CSV of tile names and labels.

    Args:
        path: The table.
        may_be_empty: Whether a table without any label is valid, like one to be filled in.

    Columns: `tile` (or image, name, file) and `label` (or landslide, positive) with 0, 1 or nothing (not labelled);
    others are ignored.

    Returns:
        Name -> label, 255 where it is empty.

    Raises:
        InputError: No such file, not UTF-8, no such columns, a name twice, or a label other than 0 and 1.
    """
    if not path.is_file():
        raise no_such("label file", path)
    columns, lines = _read_csv(path)
    name, label = find_column(columns, NAME_COLUMNS), find_column(columns, LABEL_COLUMNS)
    if name is None or label is None:
        raise InputError(f"{path}: {_wrong_columns(columns)}{content_hint(path)}")
    _check_once(path, columns, name, label)
    _check_one_label(path, columns, label, lines)
    labels: dict[str, int] = {}
    for number, line in lines:
        if any((cell or "").strip() for cell in line.get(None, ())):
            raise InputError(
                f"{path}, line {number}: has {len(columns) + len(line[None])} cells, but there are {len(columns)} "
                f"columns ({', '.join(columns)}); write numbers without commas"
            )
        tile = (line[name] or "").strip()
        if not tile and not (line[label] or "").strip():
            continue
        if tile in labels:
            raise InputError(f"{path}, line {number}: tile '{tile}' is listed twice")
        labels[tile] = parse_label(line[label], f"{path}, line {number}")
    if not may_be_empty:
        _check_any(path, labels.values(), "label table")
    return labels


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, dict[Any, Any]]]]:
    """Return columns, and lines with their numbers in the file, each by column; None for cells beyond the columns."""
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        columns, lines = list(reader.fieldnames or []), [(reader.line_num, line) for line in reader]
        if any("\n" in (cell or "") for _, line in lines for key, cell in line.items() if key is not None):
            raise csv.Error("a cell goes over several lines")
        return columns, lines
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: not a table that can be read ({error}); is a quotation mark opened and "
            f"not closed?"
        ) from error


def _check_once(path: Path, columns: list[str], *used: str) -> None:
    """Raise InputError if a column that is used occurs twice."""
    plain = [column.strip().lower() for column in columns]
    for column in used:
        if plain.count(column.strip().lower()) > 1:
            raise InputError(f"{path}: has the column '{column.strip()}' {plain.count(column.strip().lower())} times")


def known_label(value: Any) -> int | None:
    """0 or 1, where a cell says one of these; None for anything else."""
    text = str(value).strip().lower()
    label = LABELS.get(text[:1] if re.fullmatch(r"[01]\.0*", text) else text)
    return label if label in (0, 1) else None


def _check_one_label(path: Path, columns: list[str], used: str, lines: list[tuple[int, dict[Any, Any]]]) -> None:
    """Raise InputError where two columns may be the labels, and differ, or the one that is used is empty."""
    known = [column for column in columns if column.strip().lower() in LABEL_COLUMNS]
    for number, line in lines:
        found = {column: label for column in known if (label := known_label(line[column])) is not None}
        empty = found and not (line[used] or "").strip()
        if empty or len(set(found.values())) > 1:
            listed = ", ".join(f"'{column.strip()}' is {label}" for column, label in found.items())
            listed = f"'{used.strip()}' is empty, {listed}" if empty else listed
            raise InputError(f"{path}, line {number}: {listed}; which is the label? Leave one of these columns out")


def read_label_layer(path: Path) -> dict[str, int] | None:
    """Read a tile grid that was labelled in a GIS (`apsam grid`): a layer with the columns `tile` and `label`.

    Returns:
        Name -> label, 255 where it is empty; None for any other layer (`is_tile_grid`).

    Raises:
        InputError: A label other than 0 and 1, or a tile twice; a grid without labels.
    """
    [layer, *_] = chosen_layers(path)
    name, label = find_column(layer.fields, NAME_COLUMNS[:1]), find_column(layer.fields, LABEL_COLUMNS[:1])
    if name is None:
        return None
    if label is None:
        names = read_columns(path, [name])[name].astype(str)
        if len(names) and names.str.fullmatch(TILE_NAME).all():
            raise InputError(
                f"{path}: is a tile grid without the column 'label'; add it, with 0, 1 or nothing (apsam grid)"
            )
        return None
    table = read_columns(path, [name, label])
    if not is_tile_grid(table[name], table[label]):
        return None
    if table[name].duplicated().any():
        raise InputError(f"{path}: tile '{table[name][table[name].duplicated()].iloc[0]}' occurs twice")
    pairs = zip(table[name].astype(str), table[label].astype(object).where(table[label].notna(), None), strict=True)
    labels = {tile: parse_label(value, f"{path}, tile '{tile}'") for tile, value in pairs}
    _check_any(path, labels.values(), "tile grid")
    return labels


def is_tile_grid(names: pd.Series, labels: pd.Series) -> bool:
    """Whether a layer with the columns `tile` and `label` is a tile grid, not landslides that have such columns.

    Landslides may name the tile of the satellite image that they are in, and their class. A grid names each tile once,
    and its labels are 0, 1 or empty; a layer with a name such as `r154_c308` is one in any case.
    """
    if not len(names) or names.astype(str).str.contains(TILE_NAME.pattern, case=False).any():
        return True
    words = labels.astype(str).str.strip().str.lower().str.replace(r"\.0*$", "", regex=True)
    return bool(names.is_unique and (labels.isna() | words.isin(LABELS)).all())


def find_column(columns: Iterable[str], wanted: Iterable[str]) -> str | None:
    """Return the first of some columns that exists, regardless of case."""
    known = {str(column).strip().lower(): column for column in columns}
    return next((known[name] for name in wanted if name in known), None)


def _wrong_columns(columns: list[str]) -> str:
    needed = f"needs the columns 'tile' and 'label' (0 or 1), but has {columns}"
    for sign, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and sign in columns[0]:
            return f"its columns are separated by {called}; separate them by commas ({columns[0]!r})"
    places = [column for column in columns if column.strip().lower() in PLACE_COLUMNS]
    outlines = [column for column in columns if column.strip().lower() in OUTLINE_COLUMNS]
    if outlines or len(places) >= 2:
        kind, places = ("layer", outlines) if outlines else ("point layer", places)
        return (
            f"contains coordinates ({', '.join(places)}), not labels of tiles; make a {kind} of it (QGIS: Layer > Add "
            f"Layer > Add Delimited Text Layer, then Export as GeoPackage) and name that in 'labels'"
        )
    return needed


def _check_any(path: Path, labels: Iterable[int], kind: str) -> None:
    if all(label == UNLABELLED for label in labels):
        raise InputError(f"{path}: a {kind} without any label; fill in the column 'label' with 0 or 1")


def labels_from_table(path: Path, names: list[str], table: dict[str, int] | None = None) -> np.ndarray:
    """Return the labels of the tiles `names`, in their order. (n,) uint8 {0, 1, 255 not labelled}.

    Args:
        path: The table.
        names: All tiles of the scene.
        table: Its labels, if they have been read already.

    Raises:
        InputError: The table names tiles that do not exist. Tiles missing from it are not labelled.
    """
    table = read_label_table(path) if table is None else table
    unknown = sorted(set(table) - set(names))
    if unknown:
        near = alike(unknown[0], names)
        that = f"{near!r} does, with other capital letters or accents" if near else f"a tile that does: '{names[0]}'"
        raise InputError(
            f"{path}: has labels for {len(unknown)} tile(s) that do not exist, for example '{unknown[0]}' ({that})"
        )
    missing = [name for name in names if name not in table]
    if missing:
        log.warning(
            "%s: has no row for %d of %d tile(s), for example '%s'; they count as not labelled",
            path, len(missing), len(names), missing[0],
        )  # fmt: skip
    return np.array([table.get(name, UNLABELLED) for name in names], np.uint8)
