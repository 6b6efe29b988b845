"""Vector layers given by the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from apsam.errors import InputError, no_such

if TYPE_CHECKING:
    import geopandas as gpd
    from rasterio.crs import CRS

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".parquet")


def read_features(path: Path, crs: CRS) -> gpd.GeoDataFrame:
    """Features of a layer in the CRS asked for, without empty ones and those that have no place in it.

    Raises:
        InputError: The layer is missing, cannot be read or has no CRS.
    """
    import geopandas as gpd  # 0.6 s, which a process that only checks suffixes is spared
    import numpy as np

    if not path.exists():
        raise no_such("vector layer", path)
    try:
        features = gpd.read_parquet(path) if path.suffix.lower() == ".parquet" else gpd.read_file(path)
    except Exception as error:  # GDAL's drivers raise many kinds
        raise InputError(f"{path}: not a vector layer that GDAL can read ({error})") from error
    if features.crs is None:
        raise InputError(f"{path}: the layer has no coordinate reference system; assign the right one in QGIS")
    features = features[~(features.geometry.is_empty | features.geometry.isna())]
    features = features.to_crs(crs)
    # What lies too far from the area of a CRS becomes infinite in it, which GEOS refuses.
    return features[np.isfinite(features.bounds).all(axis=1)]
