"""Transform geometries of a layer to the CRS of a scene, and select those near it."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apsam.bounds import Bounds
from apsam.vectors.geometry import repaired
from apsam.vectors.read import read_layer

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy as np
    from pyproj import CRS as ProjCRS
    from rasterio.crs import CRS

log = logging.getLogger(__name__)

# A shape of more degrees may extend beyond the area in which a projected CRS is defined.
FAR_DEGREES = 20.0


def read_shapes(path: Path | str, crs: CRS, near: Bounds | None = None) -> np.ndarray:
    """Read the geometries of a layer in a CRS, (n,), without empty ones and those that cannot be transformed to it.

    Args:
        path: The file, `file.gpkg|layername=landslides` if it has several layers.
        crs: The CRS.
        near: Left, bottom, right, top in this CRS. Only features near it are returned; longitudes are shifted by
            multiples of 360 to lie in it, also beyond 180.

    Raises:
        InputError: As in `read_layer`.
    """
    return read_placed(path, crs, near)[0]


def read_placed(path: Path | str, crs: CRS, near: Bounds | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read geometries like `read_shapes`, and the index of each feature in the layer, as in `read_numbers`.

    Raises:
        InputError: As in `read_layer`.
    """
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
    box = None
    if near is not None and len(geometry):
        assert source is not None  # read_layer refuses layers without
        box = _box_around(source, target, near)
        near_enough = _reach(geometry, source, box)
        geometry, rows = geometry[near_enough], rows[near_enough]
    if source != target and len(geometry):
        assert source is not None
        geometry = _moved(geometry, source, target, box)
    # Coordinates far outside the area of a CRS become infinite, which GEOS refuses.
    if len(geometry):
        kept = np.isfinite(shapely.bounds(geometry)).all(axis=1)
        geometry, rows = geometry[kept], rows[kept]
    if target.is_geographic and near is not None and len(geometry):
        geometry, kept = _around(geometry, near)
        rows = rows[kept]
    if not shapely.is_valid(geometry).all():
        geometry = repaired(geometry)
    return geometry, rows


def read_features(path: Path | str, crs: CRS, near: Bounds | None = None) -> gpd.GeoDataFrame:
    """Read geometries like `read_shapes`, as a `geopandas.GeoDataFrame`."""
    import geopandas as gpd

    return gpd.GeoDataFrame(geometry=read_shapes(path, crs, near), crs=crs.to_wkt())


def layer_shift(path: Path | str, features: gpd.GeoDataFrame, target: ProjCRS, near: Bounds | None = None) -> Any:
    """Look up the transformation of a layer to the datum of a CRS (`apsam.datums.DatumShift`)."""
    from apsam.datums import datum_shift

    source = features.crs
    assert source is not None  # read_layer refuses layers without
    place = degrees(target, near) if near is not None else None
    if place is None and len(features):
        west, south, east, north = features.total_bounds
        place = degrees(source, (west, south, east, north))
    return datum_shift(source, target, place)


def degrees(crs: ProjCRS, bounds: Bounds) -> Bounds | None:
    """Return west, south, east, north in degrees from Greenwich of bounds in a CRS; None if they are not on the Earth.

    Longitudes are within 180; west is greater than east if the bounds cross the antimeridian. Some CRSs count from
    another meridian (Paris, Rome, Ferro), and some of these in grads.
    """
    import math

    from pyproj.exceptions import ProjError

    from apsam.datums import in_degrees, transformer

    geographic = crs.geodetic_crs
    if geographic is None:
        return None
    try:
        found = transformer(crs, geographic).transform_bounds(*bounds)
    except ProjError:  # outside the area of the CRS
        return None
    if not all(map(math.isfinite, found)):
        return None
    (west, east), (south, north) = map(list, in_degrees(found[::2], found[1::2], geographic))
    if abs(west) > 180 or abs(east) > 180:
        whole = east - west >= 360 - 1e-9
        west, east = (-180.0, 180.0) if whole else ((x + 180) % 360 - 180 for x in (west, east))
    return west, south, east, north


def _box_around(source: ProjCRS, target: ProjCRS, near: Bounds) -> Bounds | None:
    """Transform bounds from the target CRS to the source CRS, a tenth wider on each side; None if that fails."""
    import numpy as np
    from pyproj.exceptions import ProjError

    from apsam.datums import transformer

    try:
        left, bottom, right, top = transformer(target, source).transform_bounds(*near)
    except ProjError:  # outside the area of the CRS
        return None
    if not np.isfinite([left, bottom, right, top]).all() or left >= right or bottom >= top:
        return None
    if source.is_geographic and (left < -179 or right > 179):
        return None
    margin = 0.1 * max(right - left, top - bottom)
    return left - margin, bottom - margin, right + margin, top + margin


def _reach(geometry: np.ndarray, source: ProjCRS, box: Bounds | None) -> np.ndarray:
    """Whether geometries (n,) may touch a box, (n,) bool; all may without a box, or across the antimeridian."""
    import numpy as np
    import shapely

    x0, y0, x1, y1 = shapely.bounds(geometry).T
    if box is None or (source.is_geographic and min(x0.min(), -x1.max()) < -180):
        return np.ones(len(geometry), bool)
    left, bottom, right, top = box
    return (x1 >= left) & (x0 <= right) & (y1 >= bottom) & (y0 <= top)


def _moved(geometry: np.ndarray, source: ProjCRS, target: ProjCRS, box: Bounds | None) -> np.ndarray:
    """Transform geometries to the target CRS; very large ones are clipped to a box (in the source CRS) first.

    A country, or a frame around the Earth, could otherwise not be transformed to a projected CRS, although it covers
    the scene. A wide and low shape may cross the antimeridian, and is clipped only if it cannot be transformed.
    """
    import geopandas as gpd
    import numpy as np
    import shapely

    def to_target(some: np.ndarray) -> np.ndarray:
        return gpd.GeoSeries(some, crs=source).to_crs(target).to_numpy()

    if box is None:
        return to_target(geometry)
    x0, y0, x1, y1 = shapely.bounds(geometry).T
    wide, high = x1 - x0, y1 - y0
    far = source.is_geographic & ((high > FAR_DEGREES) | ((wide > FAR_DEGREES) & (wide < 180)))
    if far.any():
        geometry = geometry.copy()
        geometry[far] = shapely.intersection(geometry[far], shapely.box(*box))
    moved = to_target(geometry)
    lost = ~np.isfinite(shapely.bounds(moved)).all(axis=1) & (shapely.get_dimensions(geometry) > 0)
    if lost.any():
        moved[lost] = to_target(shapely.intersection(geometry[lost], shapely.box(*box)))
    return moved


def _around(geometry: np.ndarray, near: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Shift longitudes by multiples of 360 to those of `near`; join shapes that cross the antimeridian.

    Returns:
        The geometries near it, and the index of each in `geometry`.
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
        # Its vertices lie on both sides of the antimeridian; unchanged, it would extend once around the Earth.
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
