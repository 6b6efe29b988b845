"""Choose the layer of a vector file: `file.gpkg|layername=landslides`, or the only one with features."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from apsam.errors import InputError
from apsam.vectors.formats import (
    GPX_VERTICES,
    PARQUET_SUFFIXES,
    VECTOR_SUFFIXES,
    dataset_path,
    decoding,
    holds_raster,
    is_kml,
    raw_layers,
    read_parquet,
    stamped,
)

# The first element of a virtual file begins within this many bytes.
START = 4096

# Between file and layer, as in QGIS.
LAYER_MARK = "|layername="


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a file.

    Attributes:
        name: Its name.
        index: Its number in the file, from 0; folders of a KML may have the same name.
        features: Number of features.
        geometry: Geometry type in GDAL's words.
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
    """Split `file.gpkg|layername=landslides` into file and layer (None if no layer is named).

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
    """Return `file.gpkg|layername=landslides`, the inverse of `split_layer`."""
    return path if layer is None else Path(f"{path}{LAYER_MARK}{layer}")


def is_vector(path: Path | str) -> bool:
    """Whether a file is a vector layer, by its suffix.

    GeoPackages and `.vrt` files are opened, because they may contain rasters instead.
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
    """Return the layers of a file that have a geometry type, including those without features.

    Raises:
        InputError: The file is missing, or GDAL cannot read it.
    """
    return list(_layers(*stamped(split_layer(path)[0])))


def chosen_layers(path: Path | str) -> list[LayerInfo]:
    """Return the layers to read: the one named after `|layername=`, or the only one with features.

    All folders of a KML are returned. If no layer has features, the first one is returned.

    Raises:
        InputError: There is no such layer, or several have features and none is named.
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
    if file.suffix.lower() == ".gpx":
        full = [layer for layer in full if layer.name not in GPX_VERTICES] or full
    if len(full) > 1 and not is_kml(file):
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
    # QGIS saves styles in a table without geometry, also next to a raster.
    return any(geometry is not None for _, geometry in raw_layers(file)) or not holds_raster(file)
