"""Evaluate maps per landslide: found, missed and false ones, by size, and their total area.

Users of an inventory count landslides, not pixels: one large landslide can have more pixels than all others.
A reference landslide is found if the map covers at least half of it, partly found if it covers less, and else
missed. A landslide of the map is false if less than half of it is on reference landslides. Size classes are
decades of square metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS as RasterCRS
from rasterio.errors import RasterioError
from rasterio.windows import Window

from apsam.datums import proj_crs
from apsam.errors import InputError
from apsam.geodesy import Geodesy
from apsam.maps.cog import NO_DATA
from apsam.metrics.maps import ROWS_AT_ONCE, part_rows
from apsam.metrics.regions import Overlaps, Regions
from apsam.metrics.scene import PARTS, MeasuredScene, TileReferenceMasks
from apsam.protocol import HELD_OUT
from apsam.tiles.georeference import outline
from apsam.tiles.resolution import PixelGrid

# Share of a landslide that the other mask must cover for a match.
MATCH = 0.5
# Lower limits of the size classes, m2; the first class includes smaller ones.
CLASSES_M2 = (0, 100, 1_000, 10_000, 100_000)
# Points of the area-frequency curve.
LIMITS_A_DECADE = 4


def measure_objects(
    scenes: Sequence[MeasuredScene],
    maps: Mapping[str, Sequence[Path]],
    protocol: str = HELD_OUT,
    min_area_m2: float = 0,
) -> dict[str, Any]:
    """Count landslides of maps and reference masks.

    Only raster scenes: ready-made tiles cut landslides. Pixels belong to parts as in `measure_maps`. A landslide is cut
    at the border of its part: of the labelled tiles, and of the blocks of a scene that is split. What is beyond may
    have been trained on. Each piece counts. Unknown pixels of the reference mask and of the map are ignored.

    Args:
        scenes: Scenes with a reference mask.
        maps: Source -> mask of every scene, in the order of `scenes`: a GeoTIFF {0, 1, 255} on the scene's grid.
        protocol: `held_out` or `as_released`.
        min_area_m2: Smaller landslides are not counted in either mask (the map's minimum mapping unit). What they
            cover of a larger one in the other mask counts, as in the GeoPackage.

    Returns:
        {"protocol", "min_area_m2", "rows"}: a row for each source, part and scene. "measured_share" is the share of the
        scene's known pixels that belong to the part: landslides are cut only if it is below 1.

    Raises:
        InputError: A map is of another scene.
    """
    rows = []
    for index, measured in enumerate(scenes):
        if measured.scene.kind == "folder":
            continue
        with TileReferenceMasks(measured) as tiles:
            area = pixel_area_m2(tiles.crs, tiles.grid)
            for source, paths in maps.items():
                for part, code in PARTS.items():
                    if (tiles.part == code).any():
                        counted = _count(tiles, paths[index], code, area, min_area_m2)
                        rows.append({"source": source, "part": part, "scene": measured.scene.name, **counted})
    return {"protocol": protocol, "min_area_m2": min_area_m2, "rows": rows}


def pixel_area_m2(crs: RasterCRS, grid: PixelGrid) -> float:
    """Return the area on the ground of the pixel in the middle of a raster, as the GeoPackage measures polygons."""
    bounds = outline(grid.transform, 0, 0, grid.height, grid.width).bounds
    middle = outline(grid.transform, grid.height // 2, grid.width // 2, 1, 1)
    return Geodesy(proj_crs(crs.to_wkt()), bounds).area(middle)


def _count(tiles: TileReferenceMasks, path: Path, part: int, pixel_m2: float, min_area_m2: float) -> dict[str, Any]:
    there, found, both = Regions(), Regions(), Overlaps()
    measured = known_pixels = 0
    try:
        with rasterio.open(path) as raster:
            if raster.shape != (tiles.height, tiles.width):
                raise InputError(f"{path}: is not a map of a scene of {tiles.width} x {tiles.height} px; predict again")
            for top in range(0, tiles.height, ROWS_AT_ONCE):
                rows = min(ROWS_AT_ONCE, tiles.height - top)
                reference = tiles.reference.read(top, 0, rows, tiles.width)
                guess = raster.read(1, window=Window(0, top, tiles.width, rows))
                known = (reference != 255) & (guess != NO_DATA)
                chosen = known & (part_rows(tiles.window, tiles.part, top, rows, tiles.width) == part)
                measured, known_pixels = measured + int(chosen.sum()), known_pixels + int(known.sum())
                both.add(there.add((reference == 1) & chosen), found.add((guess == 1) & chosen))
    except RasterioError as error:
        raise InputError(f"{path}: not a map that can be read ({error}); predict again") from error
    references = _landslides(there, both.shared(there, 0), pixel_m2, min_area_m2)
    mapped = _landslides(found, both.shared(found, 1), pixel_m2, min_area_m2)
    return {
        **summarise(references, mapped),
        # Rounded down: 1 is the whole scene.
        "measured_share": int(1e4 * measured / max(1, known_pixels)) / 1e4,
        "classes": _by_class(references, mapped),
        "frequency": area_frequency([area for area, _ in references], [area for area, _ in mapped]),
    }


def _landslides(
    regions: Regions, shared: Mapping[int, int], pixel_m2: float, min_area_m2: float
) -> list[tuple[float, float]]:
    """Return area, m2, and covered share of every landslide that is large enough."""
    areas = regions.areas()
    return [
        (pixels * pixel_m2, shared.get(region, 0) / pixels)
        for region, pixels in areas.items()
        if pixels * pixel_m2 >= min_area_m2
    ]


def summarise(references: Sequence[tuple[float, float]], mapped: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Count landslides and areas from (area, covered share) of those of the reference and of the map.

    `area_error` is the mapped area over the reference's, minus 1; None if the reference has none.
    """
    found = sum(share >= MATCH for _, share in references)
    partly = sum(0 < share < MATCH for _, share in references)
    area, mapped_area = (round(sum(size for size, _ in some), 1) for some in (references, mapped))
    return {
        "reference": len(references),
        "found": found,
        "partly": partly,
        "missed": len(references) - found - partly,
        "mapped": len(mapped),
        "false": sum(share < MATCH for _, share in mapped),
        "reference_m2": area,
        "mapped_m2": mapped_area,
        "area_error": round(mapped_area / area - 1, 4) if area else None,
    }


def area_frequency(references: Sequence[float], mapped: Sequence[float]) -> dict[str, list[float]]:
    """Compute the area-frequency curves of two inventories: the number of landslides at least so large.

    Args:
        references, mapped: Areas, m2.

    Returns:
        `least_m2`, four limits a decade from below the smallest landslide to the largest, and for each limit the number
        of `reference` and `mapped` landslides; all empty if there are none.
    """
    areas = np.array([*references, *mapped])
    if not areas.size:
        return {"least_m2": [], "reference": [], "mapped": []}
    first, last = np.floor(LIMITS_A_DECADE * np.log10(areas.min())), np.floor(LIMITS_A_DECADE * np.log10(areas.max()))
    limits = 10 ** (np.arange(first, last + 1) / LIMITS_A_DECADE)
    counts = [
        (np.asarray(some)[:, None] >= limits).sum(axis=0).tolist() if len(some) else [0] * len(limits)
        for some in (references, mapped)
    ]
    return {"least_m2": np.round(limits, 2).tolist(), "reference": counts[0], "mapped": counts[1]}


def _by_class(references: Sequence[tuple[float, float]], mapped: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Compute the counts for every size class: the area-frequency table of both."""
    rows = []
    for least, below in zip(CLASSES_M2, [*CLASSES_M2[1:], None], strict=True):
        some = [[one for one in side if least <= one[0] < (below or np.inf)] for side in (references, mapped)]
        rows.append({"least_m2": least, "below_m2": below, **summarise(*some)})
    return rows
