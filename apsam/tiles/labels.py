"""Image-level labels: does a tile show a landslide."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from pyproj import CRS
from shapely import box
from shapely.strtree import STRtree

from apsam.errors import InputError, no_such
from apsam.files import read_text
from apsam.ruler import Ruler
from apsam.tiles.reader import SceneReader
from apsam.truth import TruthReader
from apsam.vectors import read_features

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


def labels_from_vector(path: Path, scene: SceneReader, windows: np.ndarray, buffer_m: float = 0) -> np.ndarray:
    """A tile touched by a feature (point, line or polygon) is positive. (n,) uint8 {0, 1}.

    Args:
        path: The layer.
        scene: The scene.
        windows: (n, 4) of row, col, height, width.
        buffer_m: Metres by which features are widened first.

    Raises:
        InputError: The layer cannot be read, has no CRS, or no feature touches the scene.
    """
    features = read_features(path, scene.crs)
    corners = [scene.transform @ point for point in ((0, 0), (scene.width, scene.height))]
    if not features.intersects(box(*_bounds(corners))).any():
        raise InputError(f"{path}: no feature touches the scene {scene.path}; is it the right layer and CRS?")
    shapes = features.geometry
    if buffer_m > 0:
        ruler = Ruler(CRS.from_user_input(scene.crs.to_wkt()), _bounds(corners))
        shapes = shapes.buffer(buffer_m / ruler.metres_per_unit)
    tiles = [
        box(*_bounds([scene.transform @ (col, row), scene.transform @ (col + width, row + height)]))
        for row, col, height, width in windows.tolist()
    ]
    touched = STRtree(tiles).query(shapes.to_numpy(), predicate="intersects")[1]
    labels = np.zeros(len(windows), np.uint8)
    labels[touched] = 1
    return labels


def labels_from_mask(path: Path, scene: SceneReader, windows: np.ndarray, min_pixels: int) -> np.ndarray:
    """A tile with at least `min_pixels` landslide pixels in the mask is positive, as the paper derives its labels.

    Returns:
        (n,) uint8 {0, 1}.

    Raises:
        InputError: The mask cannot be read or placed on the scene.
    """
    with TruthReader(path, scene) as truth:
        counts = [np.count_nonzero(truth.read(*window) == 1) for window in windows.tolist()]
    return (np.array(counts) >= min_pixels).astype(np.uint8)


def _bounds(corners: list[tuple[float, float]]) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = corners
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
