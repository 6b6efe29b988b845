"""Vector layers given by the user: labels and masks are read here and nowhere else, so that all read them alike."""

from __future__ import annotations

import logging
import re
import warnings
import zipfile
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apsam.errors import InputError, no_such
from apsam.file_content import content_hint

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy as np
    from pyproj import CRS as ProjCRS
    from rasterio.crs import CRS

log = logging.getLogger(__name__)

Bounds = tuple[float, float, float, float]

PARQUET_SUFFIXES = (".parquet", ".geoparquet")
ARCHIVES = (".zip", ".kmz")
VECTOR_SUFFIXES = (
    *(".gpkg", ".geojson", ".json", ".geojsonl", ".topojson", ".shp", ".fgb", ".kml", ".gpx", ".gdb", ".gml", ".tab"),
    *(".mif", ".sqlite", ".dxf"),
    *PARQUET_SUFFIXES,
    *ARCHIVES,
)

# What follows a file's name to choose a layer, as QGIS writes it.
LAYER_MARK = "|layername="

# Drivers whose layers are folders of one file, read together.
FOLDER_DRIVERS = ("KML", "LIBKML")

# GPX: vertices of the routes and tracks, which are layers themselves.
GPX_VERTICES = ("route_points", "track_points")

# Degrees beyond which coordinates cannot be longitudes: twice around the Earth.
MOST_DEGREES = 720.0

POLYGONS = ("Polygon", "MultiPolygon")


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
    """Whether a file is a vector layer, by its name; of a GeoPackage without layers, which may hold a raster, False."""
    file, layer = split_layer(path)
    suffix = file.suffix.lower()
    if suffix == ".gpkg" and layer is None and file.is_file():
        return _has_layers(*_stamped(file))
    return layer is not None or suffix in VECTOR_SUFFIXES


def layers_of(path: Path | str) -> list[LayerInfo]:
    """The layers of a file that hold geometries, those without features too.

    Raises:
        InputError: The file is missing, or GDAL cannot read it.
    """
    return list(_layers(*_stamped(split_layer(path)[0])))


def chosen_layers(path: Path | str) -> list[LayerInfo]:
    """The layers that are read: the one named after `|layername=`, or the only one that holds features.

    The folders of a KML are read together. Where no layer holds a feature, the first is given.

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
        raise InputError(f"{file}: holds no layer with features that have a geometry")
    full = [layer for layer in layers if layer.features]
    if _driver(file) == "GPX":
        full = [layer for layer in full if layer.name not in GPX_VERTICES] or full
    if len(full) > 1 and _driver(file) not in FOLDER_DRIVERS:
        raise InputError(
            f"{file}: has {len(full)} layers with features: {', '.join(map(str, full))}; name the intended one: "
            f"{file.name}{LAYER_MARK}{full[-1].name}"
        )
    return full or layers[:1]


def read_columns(path: Path | str, columns: list[str]) -> Any:
    """Columns of the layer that is meant, a `pandas.DataFrame` without geometry; its CRS and outlines do not matter.

    Raises:
        InputError: The layer cannot be read.
    """
    import pyogrio

    file, _ = split_layer(path)
    [layer, *_] = chosen_layers(path)
    if file.suffix.lower() in PARQUET_SUFFIXES:
        return _read_parquet(file)[columns]
    return pyogrio.read_dataframe(_dataset(file), layer=layer.index, columns=columns, read_geometry=False)


def read_layer(path: Path | str) -> gpd.GeoDataFrame:
    """Geometries of the layer that is meant, in its own CRS: two-dimensional, valid, none empty.

    Outlines that cross themselves are repaired, and how many is logged. The index is the number of a feature in the
    layer, from 0. What is given may be shared: do not change it.

    Raises:
        InputError: The layer is missing, is not one but several, cannot be read, has no CRS, or not the one of its
            coordinates.
    """
    file, name = split_layer(path)
    return _read(*_stamped(file), name)


def read_shapes(path: Path | str, crs: CRS, near: Bounds | None = None) -> np.ndarray:
    """Geometries of a layer in the CRS asked for, without empty ones and those that have no place in it.

    Args:
        path: The file, `|layername=` where it has several layers.
        crs: The CRS.
        near: Left, bottom, right, top in it: features that do not come near are left out, and longitudes are those
            that lie there, also beyond 180 degrees.

    Raises:
        InputError: As of `read_layer`.
    """
    return read_placed(path, crs, near)[0]


def read_placed(path: Path | str, crs: CRS, near: Bounds | None = None) -> tuple[np.ndarray, np.ndarray]:
    """`read_shapes`, and the number of each feature in its layer, which `read_numbers` counts by.

    Raises:
        InputError: As of `read_layer`.
    """
    import geopandas as gpd
    import numpy as np
    import shapely

    from apsam.datums import proj_crs

    features = read_layer(path)
    target = proj_crs(crs.to_wkt())
    shift = layer_shift(path, features, target, near)
    if shift.note is not None:
        log.warning("%s: %s", path, shift.note)
    geometry, source = np.asarray(features.geometry.array), shift.crs if shift.crs.is_bound else features.crs
    rows = features.index.to_numpy()
    if near is not None and len(geometry):
        assert source is not None  # read_layer takes none without
        near_enough = _reach(geometry, source, target, near)
        geometry, rows = geometry[near_enough], rows[near_enough]
    if source != target and len(geometry):
        geometry = gpd.GeoSeries(geometry, crs=source).to_crs(target).to_numpy()
    # What lies too far from the area of a CRS becomes infinite in it, which GEOS refuses.
    if len(geometry):
        kept = np.isfinite(shapely.bounds(geometry)).all(axis=1)
        geometry, rows = geometry[kept], rows[kept]
    if target.is_geographic and near is not None and len(geometry):
        geometry, kept = _around(geometry, near)
        rows = rows[kept]
    if not shapely.is_valid(geometry).all():
        geometry = _repaired(geometry)
    return geometry, rows


def read_numbers(path: Path | str, column: str) -> np.ndarray:
    """A column of numbers of the layer that is meant, one for each feature, NaN where there is none. (n,) float64.

    Raises:
        InputError: The layer has no such column, or nothing in it is a number.
    """
    import numpy as np
    import pandas as pd
    import pyogrio

    file, _ = split_layer(path)
    layers = chosen_layers(path)
    known = {name.lower(): name for layer in layers for name in layer.fields}
    name = known.get(column.lower())
    if name is None:
        listed = ", ".join(known.values()) or "none"
        raise InputError(f"{path}: has no column '{column}' (labels.size_column); its columns: {listed}")
    if file.suffix.lower() in PARQUET_SUFFIXES:
        parts = [_read_parquet(file)[name]]
    else:
        parts = [
            pyogrio.read_dataframe(_dataset(file), layer=layer.index, columns=[name], read_geometry=False)[name]
            if name in layer.fields
            else pd.Series(np.full(layer.features, np.nan))
            for layer in layers
        ]
    values = np.concatenate(
        [pd.to_numeric(part, errors="coerce").to_numpy(np.float64, na_value=np.nan) for part in parts]
    )
    if len(values) and not np.isfinite(values).any():
        example = next((str(value) for part in parts for value in part.dropna()), "empty")
        raise InputError(f"{path}: nothing in its column '{name}' is a number ('{example}'); write numbers, no units")
    return values


def read_features(path: Path | str, crs: CRS, near: Bounds | None = None) -> gpd.GeoDataFrame:
    """`read_shapes` as a `geopandas.GeoDataFrame`."""
    import geopandas as gpd

    return gpd.GeoDataFrame(geometry=read_shapes(path, crs, near), crs=crs.to_wkt())


def layer_shift(path: Path | str, features: gpd.GeoDataFrame, target: ProjCRS, near: Bounds | None = None) -> Any:
    """How a layer is brought into the datum of a CRS (`apsam.datums.DatumShift`)."""
    from apsam.datums import datum_shift

    source = features.crs
    assert source is not None  # read_layer takes none without
    place = degrees(target, near) if near is not None else None
    if place is None and len(features):
        west, south, east, north = features.total_bounds
        place = degrees(source, (west, south, east, north))
    return datum_shift(source, target, place)


def degrees(crs: ProjCRS, bounds: Bounds) -> Bounds | None:
    """West, south, east, north in degrees from Greenwich of bounds in a CRS; None where they are not on the Earth.

    Some CRSs count from another meridian (Paris, Rome, Ferro), and some of these in grads.
    """
    import math

    from apsam.datums import in_degrees, transformer

    geographic = crs.geodetic_crs
    if geographic is None:
        return None
    try:
        found = transformer(crs, geographic).transform_bounds(*bounds)
    except Exception:  # PROJ raises for what has no place
        return None
    if not all(map(math.isfinite, found)):
        return None
    (west, east), (south, north) = map(list, in_degrees(found[::2], found[1::2], geographic))
    if abs(west) > 180 or abs(east) > 180:
        turn = round((west + east) / 2 / 360) * 360
        west, east = max(west - turn, -180.0), min(east - turn, 180.0)
    return west, south, east, north


def _reach(geometry: np.ndarray, source: ProjCRS, target: ProjCRS, near: Bounds) -> np.ndarray:
    """Which geometries may touch `near`; all where that is hard to tell."""
    import numpy as np
    import shapely

    from apsam.datums import transformer

    everything = np.ones(len(geometry), bool)
    try:
        left, bottom, right, top = transformer(target, source).transform_bounds(*near)
    except Exception:  # PROJ raises for what has no place
        return everything
    if not np.isfinite([left, bottom, right, top]).all() or left >= right or bottom >= top:
        return everything
    x0, y0, x1, y1 = shapely.bounds(geometry).T
    if source.is_geographic and (left < -179 or right > 179 or min(x0.min(), -x1.max()) < -180):
        return everything
    margin = 0.1 * max(right - left, top - bottom)
    return (x1 >= left - margin) & (x0 <= right + margin) & (y1 >= bottom - margin) & (y0 <= top + margin)


def _around(geometry: np.ndarray, near: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Geometries with the longitudes, by whole turns, that lie where `near` is; those over the antimeridian whole.

    Returns:
        Them, and the index of each in `geometry`.
    """
    import numpy as np
    import shapely

    middle = (near[0] + near[2]) / 2
    left, _, right, _ = shapely.bounds(geometry).T
    wide = right - left >= 180
    usual = near[0] >= -180 and near[2] <= 180 and left.min() >= -180 and right.max() <= 180
    everything = np.arange(len(geometry))
    if usual and not wide.any():
        return geometry, everything
    if wide.any():
        # Its vertices lie on both sides of the antimeridian: taken as they are, it would go once around the Earth.
        geometry = geometry.copy()
        geometry[wide] = shapely.transform(geometry[wide], lambda c: _nearest_turn(c, middle))
    kept, indices = [], []
    for turn in (-360.0, 0.0, 360.0):
        moved = shapely.transform(geometry, partial(np.add, [turn, 0])) if turn else geometry
        left, _, right, _ = shapely.bounds(moved).T
        there = (right >= near[0]) & (left <= near[2])
        kept.append(moved[there])
        indices.append(everything[there])
    return np.concatenate(kept), np.concatenate(indices)


def _nearest_turn(coordinates: np.ndarray, middle: float) -> np.ndarray:
    import numpy as np

    x = middle + (coordinates[:, 0] - middle + 180) % 360 - 180
    return np.column_stack([x, coordinates[:, 1]])


def _stamped(file: Path) -> tuple[Path, tuple[int, ...]]:
    """A file with what tells its content from an earlier one, the log of an open database too.

    Raises:
        InputError: There is no such file.
    """
    if not file.exists():
        raise no_such("vector layer", file)
    beside = [file, file.with_name(f"{file.name}-wal"), file.with_suffix(".prj"), file.with_suffix(".dbf")]
    stamp: list[int] = []
    for one in beside:
        if one.exists():
            status = one.stat()
            stamp += [status.st_mtime_ns, status.st_size]
    return file, tuple(stamp)


@lru_cache(maxsize=64)
def _layers(file: Path, stamp: tuple[int, ...]) -> tuple[LayerInfo, ...]:
    import pyogrio

    if file.suffix.lower() in PARQUET_SUFFIXES:
        table = _read_parquet(file)
        kinds = "/".join(sorted(set(table.geom_type.dropna()))) or "Unknown"
        return (LayerInfo(file.stem, 0, len(table), kinds, tuple(map(str, table.columns))),)
    found = []
    for index, (name, geometry) in enumerate(_raw_layers(file, refuse=True)):
        if geometry is None:
            continue
        header = pyogrio.read_info(_dataset(file), layer=index, force_feature_count=True)
        fields = tuple(map(str, header["fields"]))
        found.append(LayerInfo(str(name), index, int(header["features"]), str(geometry), fields))
    return tuple(found)


@lru_cache(maxsize=64)
def _has_layers(file: Path, stamp: tuple[int, ...]) -> bool:
    """Whether a GeoPackage holds layers rather than a raster."""
    return bool(_raw_layers(file)) or not _holds_raster(file)


def _raw_layers(file: Path, refuse: bool = False) -> list[tuple[str, str | None]]:
    """Name and type of geometry of all layers."""
    import pyogrio

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [(str(name), kind) for name, kind in pyogrio.list_layers(_dataset(file))]
    except Exception as error:  # GDAL's drivers raise many kinds
        if not refuse:
            return []
        if isinstance(error, InputError):
            raise
        # What follows is about names of drivers.
        said, hint = str(error).partition("; It might help")[0], content_hint(file)
        raise InputError(
            f"{file}: not a vector layer that GDAL can read, so it gives no features ({said}){hint}"
        ) from error


def _driver(file: Path) -> str:
    import pyogrio

    if file.suffix.lower() in PARQUET_SUFFIXES:
        return "Parquet"
    return str(pyogrio.detect_write_driver(file.name)) if file.suffix.lower() == ".gpx" else _kml_or_other(file)


def _kml_or_other(file: Path) -> str:
    inner = _dataset(file).lower()
    return "LIBKML" if inner.endswith((".kml", ".kmz")) else file.suffix.lower()


def _dataset(file: Path) -> str:
    """What GDAL opens: of an archive, the one set of data in it.

    Raises:
        InputError: It is no archive, or holds no vector data, or several sets.
    """
    if file.suffix.lower() != ".zip":
        return str(file)
    try:
        with zipfile.ZipFile(file) as archive:
            members = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{file}: not a zip archive ({error}){content_hint(file)}") from error
    databases = {name[: name.lower().index(".gdb/") + 4] for name in members if ".gdb/" in name.lower()}
    endings = tuple(suffix for suffix in VECTOR_SUFFIXES if suffix not in (*ARCHIVES, ".gdb"))
    files = [name for name in members if name.lower().endswith(endings)]
    shapefiles = [name for name in files if name.lower().endswith(".shp")]
    root = f"/vsizip/{file.absolute()}"
    if len(shapefiles) > 1 and len(shapefiles) == len(files) and not databases:
        folders = {name.rpartition("/")[0] for name in shapefiles}
        if len(folders) == 1:
            return f"{root}/{folders.pop()}".rstrip("/")
    sets = [*sorted(databases), *files]
    if len(sets) != 1:
        listed = ", ".join(sets[:5]) or f"none in {', '.join(members[:3]) or 'an empty archive'}"
        raise InputError(
            f"{file}: an archive must hold one vector layer, its sets of data: {listed}; unpack it and name the one "
            f"that is meant"
        )
    return f"{root}/{sets[0]}"


def _holds_raster(file: Path) -> bool:
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(file) as raster:
            return bool(raster.count > 0)
    except RasterioError:
        return False


def _read_parquet(file: Path) -> gpd.GeoDataFrame:
    import geopandas as gpd

    try:
        return gpd.read_parquet(file)
    except ImportError as error:
        raise InputError(f"{file}: GeoParquet needs the package pyarrow: pip install pyarrow") from error
    except Exception as error:
        raise InputError(f"{file}: not a GeoParquet file that can be read ({error})") from error


@lru_cache(maxsize=8)
def _read(file: Path, stamp: tuple[int, ...], name: str | None) -> gpd.GeoDataFrame:
    import geopandas as gpd  # 0.6 s, which a process that only checks suffixes is spared
    import pandas as pd
    import pyogrio
    import shapely

    layers = chosen_layers(with_layer(file, name))
    if file.suffix.lower() == ".shp":
        _check_whole(file)
    if file.suffix.lower() in PARQUET_SUFFIXES:
        features = _read_parquet(file)
        features = features.set_geometry(shapely.force_2d(features.geometry.to_numpy()), crs=features.crs)
    else:
        try:
            parts = [
                pyogrio.read_dataframe(_dataset(file), layer=layer.index, columns=[], force_2d=True, on_invalid="fix")
                for layer in layers
            ]
        except Exception as error:  # GDAL's drivers raise many kinds
            raise InputError(f"{file}: not a vector layer that GDAL can read ({error})") from error
        features = parts[0] if len(parts) == 1 else gpd.GeoDataFrame(pd.concat(parts, ignore_index=True))
    if len(layers) > 1:
        log.info("%s: its %d folders are read together: %s", file, len(layers), ", ".join(map(str, layers)))
    if features.crs is None:
        raise InputError(f"{file}: the layer has no coordinate reference system; assign the right one in QGIS")
    if features.crs.geodetic_crs is None or features.crs.is_geocentric:
        raise InputError(
            f"{file}: its coordinate reference system '{features.crs.name}' does not say where on the map its features "
            f"lie ({features.crs.type_name}); assign the right one in QGIS"
        )
    features = gpd.GeoDataFrame(geometry=features.geometry.to_numpy(), crs=features.crs)
    missing = features.geometry.isna() | features.geometry.is_empty
    if missing.any():
        log.warning(
            "%s: %d of %d features have no geometry, or one of too few points, and are left out; is the file complete?",
            file, int(missing.sum()), len(features),
        )  # fmt: skip
        features = features[~missing]
    _check_finite(file, features)
    _check_degrees(file, features)
    broken = ~shapely.is_valid(features.geometry.to_numpy())
    if broken.any():
        log.warning(
            "%s: %d of %d outlines are not valid, mostly since they cross themselves (%s); repaired as QGIS's 'Fix "
            "geometries' does",
            file, int(broken.sum()), len(features), shapely.is_valid_reason(features.geometry.to_numpy()[broken][0]),
        )  # fmt: skip
        whole = _repaired(features.geometry.to_numpy())
        features = gpd.GeoDataFrame(geometry=whole, crs=features.crs, index=features.index)
        nothing = features.geometry.is_empty
        if nothing.any():
            log.warning("%s: %d outlines without any area are left out", file, int(nothing.sum()))
            features = features[~nothing]
    return features


def _check_whole(shapefile: Path) -> None:
    """Raise InputError where a Shapefile is shorter than its header says: GDAL gives features without geometry then."""
    with shapefile.open("rb") as file:
        header = file.read(100)
    length = 2 * int.from_bytes(header[24:28], "big")
    if shapefile.stat().st_size < length:
        raise InputError(
            f"{shapefile}: is truncated: {shapefile.stat().st_size:,} bytes of the {length:,} that its header says; "
            f"copy or download it again"
        )


def _repaired(geometry: np.ndarray) -> np.ndarray:
    """Geometries of which the invalid ones are repaired; of what was a polygon only polygons are left."""
    import shapely

    geometry = geometry.copy()
    for index in (~shapely.is_valid(geometry)).nonzero()[0]:
        whole = shapely.make_valid(geometry[index])
        if geometry[index].geom_type in POLYGONS and whole.geom_type not in POLYGONS:
            whole = shapely.union_all([part for part in shapely.get_parts(whole) if part.geom_type in POLYGONS])
        geometry[index] = whole
    return geometry


def _check_finite(file: Path, features: gpd.GeoDataFrame) -> None:
    import numpy as np
    import shapely

    geometry = features.geometry.to_numpy()
    wrong = np.flatnonzero(~np.isfinite(shapely.get_coordinates(geometry)).all(axis=1))
    if len(wrong):
        owners = np.unique(shapely.get_coordinates(geometry, return_index=True)[1][wrong])
        raise InputError(
            f"{file}: {len(owners)} of {len(features)} features have coordinates that are not numbers (nan, inf), the "
            f"first is feature {owners[0] + 1}; correct or delete them in QGIS"
        )


def _check_degrees(file: Path, features: gpd.GeoDataFrame) -> None:
    crs = features.crs
    if crs is not None and crs.is_geographic and len(features):
        left, bottom, right, top = features.total_bounds
        swapped = max(abs(left), abs(right)) <= 90 and max(abs(bottom), abs(top)) <= 180
        why = "; are latitude and longitude exchanged?" if swapped else "; assign the right one"
        turn = crs.axis_info[0].unit_conversion_factor / 0.017453292519943295
        if max(abs(left), abs(right)) * turn > MOST_DEGREES or max(abs(bottom), abs(top)) * turn > 90.1:
            raise InputError(
                f"{file}: its coordinate reference system {crs.name} is in degrees, its coordinates "
                f"({left:.8g} to {right:.8g}, {bottom:.8g} to {top:.8g}) are not{why} (a GeoJSON "
                f"holds WGS 84, longitude first)"
            )
