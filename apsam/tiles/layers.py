"""Validate vector layers of a scene sheet before a run starts, with the same code that the jobs read them with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import shapely
from pyproj import CRS

from apsam.bounds import Bounds
from apsam.datums import proj_crs, transformer
from apsam.errors import InputError
from apsam.geodesy import Geodesy
from apsam.tiles.georeference import raster_bounds
from apsam.tiles.open_raster import open_raster
from apsam.vectors.place import layer_shift
from apsam.vectors.read import read_layer


def check_layer(path: Path, images: Sequence[Path], buffer_m: float = 0, may_be_empty: bool = False) -> None:
    """Raise InputError for a layer that is empty, or does not overlap any scene that uses it.

    The most frequent cause is a wrong CRS. A scene without landslides is valid, so it is enough if the layer's bounds
    overlap one scene.

    Args:
        path: The layer, with `|layername=` if its file has several.
        images: The raster scenes that use it.
        buffer_m: Buffer of its features, metres.
        may_be_empty: Whether a layer without landslides is valid.

    Raises:
        InputError: It is empty, does not overlap, has no CRS, or is not a layer.
    """
    features = read_layer(path)
    if not len(features):
        if may_be_empty:
            return
        raise InputError(
            f"{path}: the layer has no feature; if its scenes show no landslide, name the layer of the whole region, "
            f"or label tiles in a table (apsam grid)"
        )
    west, south, east, north = features.total_bounds.tolist()
    bounds: Bounds = (west, south, east, north)
    crs = CRS.from_user_input(features.crs)
    elsewhere, exchanged = [], False
    for image in images:
        with open_raster(image) as raster:
            scene_crs = proj_crs(raster.crs.to_wkt())
            place = raster_bounds(raster)
        if buffer_m > 0:
            place = Geodesy(scene_crs, place).buffer(shapely.box(*place), buffer_m).bounds
        layer_crs = layer_shift(path, features, scene_crs, place).crs
        if _touch(bounds, layer_crs, place, scene_crs):
            return
        exchanged |= _touch((south, west, north, east), layer_crs, place, scene_crs)
        elsewhere.append(f"{image} ({scene_crs.name}: {_text(place)})")
    more = f" and {len(elsewhere) - 3} more" if len(elsewhere) > 3 else ""
    question = "Is it the right layer, and its CRS the one that its coordinates are of?"
    if exchanged:
        question = "With x and y exchanged they would: write longitude (easting) first (QGIS: Swap X and Y coordinates)"
    raise InputError(
        f"{path}: touches no scene that uses it. Its features lie in {crs.name}: {_text(bounds)}; the scenes are "
        f"{', '.join(elsewhere[:3])}{more}. {question}"
    )


def _touch(layer: Bounds, layer_crs: CRS, scene: Bounds, scene_crs: CRS) -> bool:
    """Whether a scene's bounds, transformed to the layer's CRS, overlap those of the layer."""
    try:
        left, bottom, right, top = transformer(scene_crs, layer_crs).transform_bounds(*scene)
    except Exception:  # PROJ raises for coordinates outside the CRS
        return False
    if not all(map(math.isfinite, (left, bottom, right, top))) or bottom > layer[3] or top < layer[1]:
        return False
    source = layer_crs.source_crs if layer_crs.is_bound else None
    if not (layer_crs.is_geographic or (source is not None and source.is_geographic)):
        return left <= layer[2] and right >= layer[0]
    if left > right:  # across the antimeridian
        right += 360
    return any(left + turn <= layer[2] and right + turn >= layer[0] for turn in (-720, -360, 0, 360, 720))


def _text(bounds: Bounds) -> str:
    left, bottom, right, top = bounds
    return f"{left:.8g} to {right:.8g}, {bottom:.8g} to {top:.8g}"
