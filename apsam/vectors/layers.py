"""Which layer of a vector file is meant: `file.gpkg|layername=landslides`, or the only one that contains features."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from apsam.errors import InputError
from apsam.vectors.formats import (
    FOLDER_DRIVERS,
    GPX_VERTICES,
    PARQUET_SUFFIXES,
    VECTOR_SUFFIXES,
    dataset_path,
    decoding,
    driver_of,
    holds_raster,
    raw_layers,
    read_parquet,
    stamped,
)

# Bytes of a virtual file in which its first element begins, after a comment.
START = 4096

# What follows a file's name to choose a layer, as QGIS writes it.
LAYER_MARK = "|layername="


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a file.

    Attributes:
        name: Its name.
        index: Its place in the file: folders of a KML may share a name.
        features: How many there are.
        geometry: As GDAL calls it; None for a table without geometry.
        fields: Names of its columns.
    """

    name: str
    index: int
    features: int
    geometry: str | None
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.features} x {self.geometry})"


def split_layer(path: Path | str) -> tuple[Path, str | None]:
    """File and layer of `file.gpkg|layername=landslides`; None for the layer where none is named.

    Raises:
        InputError: Something other than a layer's name follows the file's.
    """
    text = str(path)
    if "|" not in text or Path(text).exists():
        return Path(text), None
    file, _, options = text.partition("|")
    name = re.fullmatch(r"layername=([^|]+)", options)
    if name is None:
        raise InputError(f"{text}: after '|' only a layer's name is understood: {file}{LAYER_MARK}NAME")
    return Path(file), name[1]


def with_layer(path: Path, layer: str | None) -> Path:
    """The opposite of `split_layer`."""
    return path if layer is None else Path(f"{path}{LAYER_MARK}{layer}")


def is_vector(path: Path | str) -> bool:
    """Whether a file is a vector layer, by its name.

    A GeoPackage without layers may hold a raster; a `.vrt` is what its first element says.
    """
    file, layer = split_layer(path)
    suffix = file.suffix.lower()
    if suffix == ".vrt" and layer is None and file.is_file():
        with file.open("rb") as opened:
            return b"<ogrvrtdatasource" in opened.read(START).lower()
    if suffix == ".gpkg" and layer is None and file.is_file():
        return _has_layers(*stamped(file))
    return layer is not None or suffix in VECTOR_SUFFIXES


def layers_of(path: Path | str) -> list[LayerInfo]:
    """The layers of a file that hold geometries, those without features too.

    Raises:
        InputError: The file is missing, or GDAL cannot read it.
    """
    return list(_layers(*stamped(split_layer(path)[0])))


def chosen_layers(path: Path | str) -> list[LayerInfo]:
    """The layers that are read: the one named after `|layername=`, or the only one that contains features.

    The folders of a KML are read together. Where no layer contains a feature, the first is given.

    Raises:
        InputError: No such layer, or several with features of which none is named.
    """
    file, name = split_layer(path)
    layers = layers_of(file)
    if name is not None:
        chosen = [layer for layer in layers if layer.name == name]
        if not chosen:
            known = ", ".join(map(str, layers)) or "none with geometries"
            raise InputError(f"{file}: has no layer '{name}'; its layers: {known}")
        return chosen
    if not layers:
        raise InputError(f"{file}: contains no layer with features that have a geometry")
    full = [layer for layer in layers if layer.features]
    if driver_of(file) == "GPX":
        full = [layer for layer in full if layer.name not in GPX_VERTICES] or full
    if len(full) > 1 and driver_of(file) not in FOLDER_DRIVERS:
        raise InputError(
            f"{file}: has {len(full)} layers with features: {', '.join(map(str, full))}; name the intended one: "
            f"{file.name}{LAYER_MARK}{full[-1].name}"
        )
    return full or layers[:1]


@lru_cache(maxsize=64)
def _layers(file: Path, stamp: tuple[int, ...]) -> tuple[LayerInfo, ...]:
    import pyogrio

    if file.suffix.lower() in PARQUET_SUFFIXES:
        table = read_parquet(file)
        kinds = "/".join(sorted(set(table.geom_type.dropna()))) or "Unknown"
        return (LayerInfo(file.stem, 0, len(table), kinds, tuple(map(str, table.columns))),)
    found = []
    for index, (name, geometry) in enumerate(raw_layers(file, refuse=True)):
        if geometry is None:
            continue
        with decoding(file):
            header = pyogrio.read_info(dataset_path(file), layer=index, force_feature_count=True)
        fields = tuple(map(str, header["fields"]))
        found.append(LayerInfo(str(name), index, int(header["features"]), str(geometry), fields))
    return tuple(found)


@lru_cache(maxsize=64)
def _has_layers(file: Path, stamp: tuple[int, ...]) -> bool:
    """Whether a GeoPackage contains layers rather than a raster."""
    # Tables without geometry do not count: QGIS saves styles in one, also next to a raster.
    return any(geometry is not None for _, geometry in raw_layers(file)) or not holds_raster(file)
