"""Image-level labels that were given tile by tile: tables, and grids labelled in a GIS."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from apsam.errors import InputError, no_such
from apsam.files import read_text

NAME_COLUMNS = ("tile", "image", "name", "file")
LABEL_COLUMNS = ("label", "landslide", "positive")

# What a tile without a label counts as here: it takes no part in training or measuring.
UNLABELLED = 255


def tile_name(row: int, col: int) -> str:
    """The name of a raster scene's tile in a label table: `r154_c308` starts at pixel row 154, column 308."""
    return f"r{row}_c{col}"


def read_label_table(path: Path) -> dict[str, int]:
    """Read a CSV of tile names and labels.

    Columns: `tile` (or image, name, file) and `label` (or landslide, positive) with 0, 1 or nothing (not looked at);
    others are ignored.

    Returns:
        Name -> label, 255 where it is empty.

    Raises:
        InputError: No such file, not UTF-8, no such columns, a name twice, or a label other than 0 and 1.
    """
    if not path.is_file():
        raise no_such("label file", path)
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    columns = reader.fieldnames or []
    name = next((c for c in NAME_COLUMNS if c in columns), None)
    label = next((c for c in LABEL_COLUMNS if c in columns), None)
    if name is None or label is None:
        raise InputError(f"{path}: needs the columns 'tile' and 'label' (0 or 1), but has {columns}")
    labels: dict[str, int] = {}
    for number, line in enumerate(reader, 2):
        given = (line[label] or "").strip()
        if given not in ("0", "1", ""):
            raise InputError(f"{path}, line {number}: label '{given}' is neither 0 nor 1, nor empty")
        if line[name] in labels:
            raise InputError(f"{path}, line {number}: tile '{line[name]}' is listed twice")
        labels[line[name]] = int(given) if given else UNLABELLED
    return labels


def read_label_layer(path: Path) -> dict[str, int] | None:
    """Read a tile grid that was labelled in a GIS (`apsam grid`): a layer with the columns `tile` and `label`.

    Returns:
        Name -> label, 255 where it is empty; None for any other layer.

    Raises:
        InputError: A label other than 0 and 1, or a tile twice.
    """
    import pandas as pd
    import pyogrio

    try:
        columns = set(pyogrio.read_info(path)["fields"])
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError):
        return None
    if not {"tile", "label"} <= columns:
        return None
    table = pyogrio.read_dataframe(path, columns=["tile", "label"], read_geometry=False)
    if table["tile"].duplicated().any():
        raise InputError(f"{path}: tile '{table['tile'][table['tile'].duplicated()].iloc[0]}' is there twice")
    labels = pd.to_numeric(table["label"], errors="coerce").fillna(UNLABELLED)
    if not labels.isin((0, 1, UNLABELLED)).all():
        raise InputError(f"{path}: label {labels[~labels.isin((0, 1, UNLABELLED))].iloc[0]:g} is neither 0 nor 1")
    if (labels == UNLABELLED).all():
        raise InputError(f"{path}: a tile grid without any label; fill in the column 'label' with 0 or 1")
    return dict(zip(table["tile"], labels.astype(int), strict=True))


def labels_from_table(path: Path, names: list[str], table: dict[str, int] | None = None) -> np.ndarray:
    """Labels of the tiles `names`, in their order. (n,) uint8 {0, 1, 255 not looked at}.

    Args:
        path: The table.
        names: All tiles of the scene.
        table: Its labels, where they have been read already.

    Raises:
        InputError: The table names tiles that do not exist, or lacks some that do.
    """
    table = read_label_table(path) if table is None else table
    unknown = sorted(set(table) - set(names))
    if unknown:
        raise InputError(
            f"{path}: has labels for {len(unknown)} tile(s) that do not exist, for example '{unknown[0]}' "
            f"(a tile that does: '{names[0]}')"
        )
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(f"{path}: has no label for {len(missing)} tile(s), for example '{missing[0]}'")
    return np.array([table[name] for name in names], np.uint8)
