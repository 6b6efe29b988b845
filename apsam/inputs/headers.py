"""A scene's header, explained: size, CRS, ground resolution, bands, stretch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from pyproj import CRS
from pyproj.aoi import AreaOfUse

from apsam.bounds import Bounds
from apsam.datums import proj_crs
from apsam.geodesy import Geodesy
from apsam.inputs.report import SceneReport
from apsam.inputs.state import CheckState
from apsam.scenes import Scene
from apsam.tiles.bands import band_doubts
from apsam.tiles.georeference import degrees_of
from apsam.tiles.reader import SceneReader
from apsam.tiles.resolution import ground_sides_m

# Degrees beyond the area that a CRS is meant for at which nothing is said yet.
BESIDE = 1.0

# A pixel is not square on the ground if it is longer than wide by this factor, or wider than long.
SQUEEZED = 1.5


def describe(state: CheckState, scene: Scene, reader: SceneReader, row: SceneReport) -> None:
    """Note size, CRS, ground resolution, bands and stretch of a raster scene, and warn of what looks wrong in them."""
    crs = proj_crs(reader.crs.to_wkt())
    code = ":".join(crs.to_authority() or ()) if crs.to_authority(min_confidence=100) else ""
    geodesy = Geodesy(crs, reader.bounds)
    row.size = f"{reader.width} x {reader.height}"
    row.crs = f"{code} {crs.name}".strip()
    row.resolution_m = _pixel_metres(reader, geodesy)
    row.tile_m = row.resolution_m * state.tiles.size
    state.resolutions[scene.name] = row.resolution_m
    sides = ground_sides_m(reader.crs.to_wkt(), reader.grid)
    if sides is not None and max(sides) > SQUEEZED * min(sides):
        state.warnings.append(
            f"{scene.image}: its pixels are {sides[0]:.2g} x {sides[1]:.2g} m on the ground, so that landslides look "
            f"squeezed; set 'tiles.resolution_m: {max(sides):.2g}', which makes them square"
        )
    row.bands = f"{', '.join(map(str, reader.chosen.bands))} ({reader.chosen.why})"
    row.stretch = (
        f"{reader.dtype}, percentiles {state.tiles.percentiles[0]:g} to {state.tiles.percentiles[1]:g}"
        if reader.stretched
        else "as it is"
    )
    state.stretched[scene.name] = reader.stretched
    if reader.chosen.palette is not None:
        row.notes.append("the numbers of a colour table are read as its colours")
    if reader.chosen.why.endswith("red, green, blue") and reader.chosen.bands != (1, 2, 3):
        row.notes.append(f"bands {', '.join(map(str, reader.chosen.bands))} are red, green, blue, as it declares")
    state.warnings += [f"{scene.image}: {doubt}" for doubt in band_doubts(reader.chosen, reader.count)]
    if reader.white is not None:
        row.notes.append("0 is white in it (WhiteIsZero): inverted")
    place = degrees_of(reader.crs, reader.bounds)
    if place is not None and _outside(place, crs):
        state.warnings.append(
            f"{scene.image}: lies at {place[0]:.4g} to {place[2]:.4g}, {place[1]:.4g} to {place[3]:.4g} degrees, "
            f"outside of the area that {crs.name} is made for; is it the coordinate reference system of its "
            f"coordinates?"
        )
    state.places[scene.name] = place
    state.grounds.append((reader.crs, reader.bounds))


def _pixel_metres(reader: SceneReader, geodesy: Geodesy) -> float:
    """Ground side of a pixel in the middle of the scene, metres."""
    a, b, _, d, e, _ = tuple(reader.transform)[:6]
    return float(abs(a * e - b * d) ** 0.5 * np.linalg.det(geodesy.to_metres) ** 0.5)


def _outside(place: Bounds, crs: CRS) -> bool:
    """Whether a place in degrees lies wholly outside of the area that a CRS is meant for, and not just next to it."""
    area = _area_of_use(crs.to_wkt())
    if area is None or area.west > area.east or place[0] > place[2]:
        return False
    # A zone that ends at 180 degrees goes on at -180.
    to_the_side = min(max(area.west - place[2] - turn, place[0] + turn - area.east) for turn in (-360, 0, 360))
    return max(to_the_side, area.south - place[3], place[1] - area.north) > BESIDE


@lru_cache(maxsize=256)
def _area_of_use(wkt: str) -> AreaOfUse | None:
    """West, south, east, north of the area that a CRS of the EPSG's is made for; files do not repeat it."""
    authority = proj_crs(wkt).to_authority(min_confidence=70)
    if authority is None:
        return None
    return CRS.from_authority(*authority).area_of_use  # type: ignore[return-value]  # pyproj's stubs know two classes of this name
