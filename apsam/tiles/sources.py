"""Check the kind of file in each column of the scene sheet; the error names the right column for a misplaced file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pyogrio

from apsam.errors import InputError, no_such
from apsam.scenes import Scene
from apsam.vectors.formats import ARCHIVES, VECTOR_SUFFIXES, holds_raster
from apsam.vectors.layers import is_vector, split_layer

WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods")
_RASTER = "{}: is a raster; a mask goes into the column 'mask', with the word mask in 'labels' to derive labels from it"
TABLES = (".csv", ".txt")
# Files next to a Shapefile or a MapInfo file: GDAL opens some of them, but what they belong to would not be watched.
PARTS = {
    **dict.fromkeys((".shx", ".dbf", ".prj", ".cpg", ".sbn", ".sbx", ".qix"), ".shp"),
    **dict.fromkeys((".map", ".id", ".mid"), ".tab or .mif"),
}
RASTERS = (".tif", ".tiff", ".vrt", ".img", ".jp2", ".png", ".jpg", ".jpeg", ".dat", ".asc", ".ecw", ".nc")


def label_kind(path: Path) -> Literal["table", "layer"]:
    """Return whether labels are a table or a vector layer.

    Raises:
        InputError: There is no such file, or it is another kind of file: a workbook, a raster, a folder.
    """
    file, layer = split_layer(path)
    suffix = file.suffix.lower()
    if layer is not None or suffix in VECTOR_SUFFIXES:
        if not file.exists():
            raise no_such("vector layer", file)
        if not is_vector(path):
            raise InputError(_RASTER.format(file))  # a GeoPackage may contain one
        return "layer"
    if not file.exists():
        raise no_such("label file", file)
    if file.is_dir():
        raise InputError(f"{file}: is a folder; 'labels' names a table (tile,label), a vector layer, or the word mask")
    if suffix in PARTS:
        raise InputError(f"{file}: is a part of a layer; name the file {file.stem}{PARTS[suffix]} instead")
    if suffix in WORKBOOKS:
        raise InputError(
            f"{file}: is a workbook; save the sheet with the columns tile and label as 'CSV UTF-8 (comma delimited)' "
            f"and name that"
        )
    if suffix not in TABLES:
        if suffix == ".vrt" and _is_layer(file):
            return "layer"
        if suffix in RASTERS or holds_raster(file):
            raise InputError(_RASTER.format(file))
        if _is_layer(file):
            return "layer"
    return "table"


def check_image(scene: Scene) -> None:
    """Raise InputError if the column `image` names a file of another kind, or a missing one."""
    assert scene.image is not None
    if not scene.image.exists():
        raise no_such("file", scene.image)
    if scene.image.is_file() or scene.image.suffix.lower() == ".gdb":
        suffix = scene.image.suffix.lower()
        if suffix in WORKBOOKS + TABLES or (suffix in VECTOR_SUFFIXES and not holds_raster(scene.image)):
            kind = "a table" if suffix in TABLES else "a workbook" if suffix in WORKBOOKS else "a vector layer"
            kind = "an archive, or a vector layer in one" if suffix in ARCHIVES else kind
            raise InputError(
                f"{scene.image}: is {kind}, but the column 'image' of scene '{scene.name}' names a raster or a "
                f"folder of ready-made tiles; are two columns exchanged?"
            )


def check_labels_and_mask(scene: Scene) -> None:
    """Raise InputError if `labels` or `mask` name a file of another column, or a missing one."""
    labels = scene.labels_source
    if labels is not None and label_kind(labels) == "layer" and scene.kind == "folder":
        raise InputError(
            f"{scene.labels}: ready-made tiles have no place on the map, so a vector layer cannot label them; give a "
            f"table with the columns tile (the file's name) and label (0 or 1)"
        )
    if scene.mask is None:
        return
    if not scene.mask.exists():
        raise no_such("mask", scene.mask)
    folder = scene.mask.is_dir() and scene.mask.suffix.lower() != ".gdb"
    if scene.kind == "folder" and not folder:
        raise InputError(f"{scene.mask}: masks of the tile folder {scene.image} must be a folder too")
    if scene.kind == "raster" and folder:
        raise InputError(
            f"{scene.mask}: is a folder, but the scene {scene.image} is one raster; its mask is a raster or a layer of "
            f"polygons"
        )
    suffix = scene.mask.suffix.lower()
    if suffix in WORKBOOKS + TABLES:
        kind = "table" if suffix in TABLES else "workbook"
        raise InputError(
            f"{scene.mask}: is a {kind}; the column 'mask' names a raster or a layer of polygons, tables of labels go "
            f"into 'labels'"
        )


def _is_layer(file: Path) -> bool:
    try:
        return any(geometry is not None for _, geometry in pyogrio.list_layers(file))
    except Exception:  # GDAL's drivers raise various exceptions
        return False
