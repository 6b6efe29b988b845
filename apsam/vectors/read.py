"""Read, validate and repair the geometries of a layer, in its own CRS."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from apsam.errors import InputError
from apsam.vectors.formats import PARQUET_SUFFIXES, dataset_path, is_kml, read_parquet, stamped
from apsam.vectors.geometry import check_degrees, check_finite, check_whole_shapefile, repaired
from apsam.vectors.layers import chosen_layers, split_layer, with_layer

if TYPE_CHECKING:
    import geopandas as gpd

log = logging.getLogger(__name__)

# The column in which GDAL gives the image of a KML's overlay, whose frame it gives as a polygon.
OVERLAY = "icon"


def read_layer(path: Path | str) -> gpd.GeoDataFrame:
    """Read the geometries of the chosen layer in its own CRS: two-dimensional, valid, none empty.

    Self-intersecting outlines are repaired, and their number is logged. The index is the number of a feature in the
    layer, from 0. The result is cached: do not change it.

    Args:
        path: The file, `file.gpkg|layername=landslides` if it has several layers.

    Raises:
        InputError: The layer is missing, not unique, unreadable, has no CRS, or its coordinates are not those of its
            CRS.
    """
    file, name = split_layer(path)
    return _read(*stamped(file), name)


@lru_cache(maxsize=8)
def _read(file: Path, stamp: tuple[int, ...], name: str | None) -> gpd.GeoDataFrame:
    import geopandas as gpd  # takes 0.6 s, and is not needed to check suffixes
    import pandas as pd
    import pyogrio
    import shapely

    layers = chosen_layers(with_layer(file, name))
    check_whole_shapefile(file, [layer.name for layer in layers])
    if file.suffix.lower() in PARQUET_SUFFIXES:
        features = read_parquet(file)
        features = features.set_geometry(shapely.force_2d(features.geometry.to_numpy()), crs=features.crs)
    else:
        columns = [OVERLAY] if is_kml(file) else []
        try:
            parts = [
                pyogrio.read_dataframe(
                    dataset_path(file), layer=layer.index, columns=columns, force_2d=True, on_invalid="fix"
                )
                for layer in layers
            ]
        except Exception as error:  # GDAL's drivers raise many kinds
            raise InputError(f"{file}: not a vector layer that GDAL can read ({error})") from error
        features = parts[0] if len(parts) == 1 else gpd.GeoDataFrame(pd.concat(parts, ignore_index=True))
    if len(layers) > 1:
        log.info("%s: its %d folders are read together: %s", file, len(layers), ", ".join(map(str, layers)))
    if OVERLAY in features:
        features = _without_overlays(file, features)
    if features.crs is None:
        raise InputError(f"{file}: the layer has no coordinate reference system; assign the right one in QGIS")
    if features.crs.geodetic_crs is None or features.crs.is_geocentric:
        raise InputError(
            f"{file}: its coordinate reference system '{features.crs.name}' does not say where on the map its features "
            f"lie ({features.crs.type_name}); assign the right one in QGIS"
        )
    features = gpd.GeoDataFrame(geometry=features.geometry.to_numpy(), crs=features.crs, index=features.index)
    missing = features.geometry.isna() | features.geometry.is_empty
    if missing.any():
        log.warning(
            "%s: %d of %d features have no geometry, or one of too few points, and are left out; is the file complete?",
            file, int(missing.sum()), len(features),
        )  # fmt: skip
        features = features[~missing]
    check_finite(file, features)
    check_degrees(file, features)
    broken = ~shapely.is_valid(features.geometry.to_numpy())
    if broken.any():
        log.warning(
            "%s: %d of %d outlines are not valid, mostly since they cross themselves (%s); repaired as QGIS's 'Fix "
            "geometries' does",
            file, int(broken.sum()), len(features), shapely.is_valid_reason(features.geometry.to_numpy()[broken][0]),
        )  # fmt: skip
        whole = repaired(features.geometry.to_numpy())
        features = gpd.GeoDataFrame(geometry=whole, crs=features.crs, index=features.index)
        nothing = features.geometry.is_empty
        if nothing.any():
            log.warning("%s: %d outlines without any area are left out", file, int(nothing.sum()))
            features = features[~nothing]
    return features


def _without_overlays(file: Path, features: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Leave out the frames of images that a KML lays on the ground."""
    images = features[OVERLAY].fillna("").astype(str) != ""
    if images.any():
        log.warning(
            "%s: %d of %d features are images laid on the ground (GroundOverlay), whose frames are no landslides; left "
            "out", file, int(images.sum()), len(features),
        )  # fmt: skip
    return features[~images]
