"""Check and repair geometries of a layer: invalid ones are repaired, impossible coordinates are refused."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from apsam.bounds import beyond_degrees
from apsam.errors import InputError

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy as np

POLYGONS = ("Polygon", "MultiPolygon")


def check_whole_shapefile(file: Path, layers: Collection[str]) -> None:
    """Raise InputError if a Shapefile is shorter than its header says; GDAL reads features without geometry from it.

    Args:
        file: The Shapefile, or a zip archive.
        layers: Layers that are read, if it is an archive of several.
    """
    if file.suffix.lower() == ".shp":
        with file.open("rb") as opened:
            _check_length(file, opened.read(100), file.stat().st_size)
    elif file.suffix.lower() == ".zip":
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                name = PurePosixPath(member.filename)
                if name.suffix.lower() == ".shp" and name.stem in layers and name.parts[0] != "__MACOSX":
                    # Python cannot read some compressions that GDAL reads (Deflate64).
                    with suppress(NotImplementedError), archive.open(member) as opened:
                        _check_length(Path(f"{file}/{name}"), opened.read(100), member.file_size)


def _check_length(shapefile: Path, header: bytes, found: int) -> None:
    length = 2 * int.from_bytes(header[24:28], "big")
    if found < length:
        raise InputError(
            f"{shapefile}: is truncated: {found:,} bytes of the {length:,} that its header says; "
            f"copy or download it again"
        )


def repaired(geometry: np.ndarray) -> np.ndarray:
    """Return geometries (n,) with the invalid ones repaired. Parts of a polygon that are not polygons are removed."""
    import shapely

    geometry = geometry.copy()
    for index in (~shapely.is_valid(geometry)).nonzero()[0]:
        whole = shapely.make_valid(geometry[index])
        if geometry[index].geom_type in POLYGONS and whole.geom_type not in POLYGONS:
            whole = shapely.union_all([part for part in shapely.get_parts(whole) if part.geom_type in POLYGONS])
        geometry[index] = whole
    return geometry


def check_finite(file: Path, features: gpd.GeoDataFrame) -> None:
    """Raise InputError if coordinates are NaN or infinite."""
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


def check_degrees(file: Path, features: gpd.GeoDataFrame) -> None:
    """Raise InputError if the CRS is in degrees and the coordinates cannot be."""
    crs = features.crs
    if crs is not None and crs.is_geographic and len(features):
        left, bottom, right, top = features.total_bounds
        swapped = max(abs(left), abs(right)) <= 90 and max(abs(bottom), abs(top)) <= 180
        why = "; are latitude and longitude exchanged?" if swapped else "; assign the right one"
        if beyond_degrees(crs, (left, bottom, right, top)):
            raise InputError(
                f"{file}: its coordinate reference system {crs.name} is in degrees, its coordinates "
                f"({left:.8g} to {right:.8g}, {bottom:.8g} to {top:.8g}) are not{why} (a GeoJSON "
                f"contains WGS 84, longitude first)"
            )
