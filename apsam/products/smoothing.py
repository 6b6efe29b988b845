"""Smooth pixel outlines without changing areas and topology.

Two steps, both limited by one length: pixel steps are removed as a coverage (Visvalingam and Whyatt 1993, as in GEOS
for polygons that share borders), then corners are cut off, each side by at most a quarter of it (Chaikin 1974) and
never by more than half of that length. If a landslide's area would change by more than `AREA_CHANGE`, or it would fall
apart or lose a hole, it is smoothed at half the length, at a quarter, and finally not at all; so are landslides
that would cross another. Outlines of pixels never cross, so the procedure always ends.
"""

from __future__ import annotations

import numpy as np
import shapely
from shapely import LinearRing, MultiPolygon, Polygon

# Smoothed outlines may change a landslide's area by this share at most.
AREA_CHANGE = 0.02

HALVINGS, ROUNDS = 3, 2

# Two geometries whose interiors intersect (DE-9IM): more than a shared border or corner.
CROSS = "T********"


def smooth(landslides: list[MultiPolygon], length: float) -> list[MultiPolygon]:
    """Smooth outlines at `length`, in units of the coordinates; 0 does not change them.

    Args:
        landslides: Valid, with disjoint interiors; they may share borders and corners.
        length: Steps of about this length are kept.

    Returns:
        In the same order, each with as many parts and holes as before.
    """
    if length <= 0 or not landslides:
        return landslides
    result: list[MultiPolygon | None] = [None] * len(landslides)
    for halving in range(HALVINGS):
        missing = [index for index, found in enumerate(result) if found is None]
        if not missing:
            break
        for index, candidate in zip(missing, _smoothed(landslides, length / 2**halving, missing), strict=True):
            if _alike(candidate, landslides[index]):
                result[index] = candidate
    drawn = [plain if found is None else found for found, plain in zip(result, landslides, strict=True)]
    return _without_crossings(drawn, landslides)


def _smoothed(landslides: list[MultiPolygon], length: float, wanted: list[int]) -> list[MultiPolygon]:
    # Each part separately: parts that touch in a corner are not a valid coverage otherwise.
    parts, owner = shapely.get_parts(np.array(landslides, object), return_index=True)
    simpler = shapely.coverage_simplify(parts, length)
    return [
        MultiPolygon([_round_corners(part, length / 2) for part in simpler[owner == index] if not part.is_empty])
        for index in wanted
    ]


def _round_corners(polygon: Polygon, longest: float) -> Polygon:
    rings = [_round_ring(shapely.get_coordinates(ring), longest) for ring in (polygon.exterior, *polygon.interiors)]
    return Polygon(rings[0], rings[1:])


def _round_ring(points: np.ndarray, longest: float) -> LinearRing:
    """Cut the corners of a closed ring, (n, 2) with the first point again at the end."""
    for turn in range(ROUNDS):
        sides = np.diff(points, axis=0)
        lengths = np.hypot(*sides.T)[:, None]
        share = np.minimum(0.25, longest / 2**turn / np.maximum(lengths, 1e-300))
        ends = np.stack([points[:-1] + share * sides, points[1:] - share * sides], axis=1).reshape(-1, 2)
        points = np.concatenate([ends, ends[:1]])
    return LinearRing(points)


def _alike(candidate: MultiPolygon, landslide: MultiPolygon) -> bool:
    """Whether shape and area are kept; ratios of areas do not depend on the unit."""
    return (
        candidate.is_valid
        and [len(p.interiors) for p in candidate.geoms] == [len(p.interiors) for p in landslide.geoms]
        and abs(candidate.area / landslide.area - 1) <= AREA_CHANGE
    )


def _without_crossings(drawn: list[MultiPolygon], plain: list[MultiPolygon]) -> list[MultiPolygon]:
    while True:
        shapes = np.array(drawn, object)
        first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        pairs = first < second
        first, second = first[pairs], second[pairs]
        crossing = shapely.relate_pattern(shapes[first], shapes[second], CROSS)
        if not crossing.any():
            return drawn
        for index in {*first[crossing].tolist(), *second[crossing].tolist()}:
            drawn[index] = plain[index]
