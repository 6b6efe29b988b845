"""How large landslides are, where that is known, and what follows for tiles and points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import shapely

from apsam.geodesy import Geodesy
from apsam.tiles.labels import UNLABELLED
from apsam.tiles.scene_labels import LayerLabels
from apsam.tiles.settings import LabelSettings, TileSettings
from apsam.vectors.layers import chosen_layers

# Of a layer with more features, lengths are measured on so many.
MEASURED = 5000

# Landslides are objects in a tile where their median length is at most this share of its side.
OBJECT_SHARE = 0.5

# Metres between which landslides on land are long: shorter ones are no landslide that is seen from above, or lengths in
# kilometres; the longest known, of Saidmarreh in Iran, ran 15 km.
SHORTEST_M, LONGEST_M = 2.0, 20_000.0

# Resolutions that are suggested, times a power of ten.
ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)

# Words in the names of columns that may hold the size of a landslide.
SIZE_WORDS = ("length", "len", "area", "size", "radius", "width", "diam")


def landslide_lengths(shapes: np.ndarray, geodesy: Geodesy) -> np.ndarray:
    """Lengths of landslides given as outlines, m: the longer side of the smallest box around each.

    Returns:
        (n,) float64; NaN for points, and for features beyond the first 5000.
    """
    lengths = np.full(len(shapes), np.nan)
    some = np.flatnonzero(shapely.get_dimensions(shapes) > 0)[:MEASURED]
    for index, box in zip(some, shapely.oriented_envelope(geodesy.in_metres(shapes[some])), strict=True):
        corners = shapely.get_coordinates(box)[:3]
        lengths[index] = np.hypot(*np.diff(corners, axis=0).T).max() if len(corners) > 1 else 0.0
    return lengths


def mask_lengths(landslide: np.ndarray, pixel_m: float) -> np.ndarray:
    """Lengths of the landslides of a mask (h, w) bool, m: the longer side of the smallest box around each region."""
    outlines, _ = cv2.findContours(landslide.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    # A contour runs through pixel centres.
    return np.array([(max(cv2.minAreaRect(outline)[1]) + 1) * pixel_m for outline in outlines])


def median_and_longest(lengths: np.ndarray) -> tuple[float, float] | None:
    """Of those lengths that are known."""
    known = lengths[np.isfinite(lengths)]
    return (float(np.median(known)), float(known.max())) if len(known) else None


def scale_warnings(scenes: Sequence[tuple[np.ndarray, float, float]], tiles: TileSettings) -> list[str]:
    """A warning where landslides of the training scenes are no objects in their tiles.

    Args:
        scenes: Of each scene the lengths of landslides, the side of a tile and its own shorter side, m.
        tiles: How scenes are cut.
    """
    median = float(np.median(np.concatenate([lengths for lengths, _, _ in scenes])))
    side = float(np.median([side for _, side, _ in scenes]))
    if median <= OBJECT_SHARE * side:
        return []
    wanted = rounded_up(median / OBJECT_SHARE / tiles.size)
    remedy = "add config/real_scenes.yaml, which combines the labels of overlapping tiles"
    if wanted * tiles.size <= min(across for _, _, across in scenes):
        remedy = (
            f"either {remedy}, or set 'tiles.resolution_m: {wanted:g}' (tiles of {wanted * tiles.size:.0f} m, fewer of "
            f"them)"
        )
    return [
        f"half of the landslides in the training scenes are longer than {median:.0f} m, a tile is {side:.0f} m wide: "
        f"most tiles show a part of one; {remedy}"
    ]


def rounded_up(value: float) -> float:
    """The next number that people would write."""
    power = 10.0 ** np.floor(np.log10(value))
    return round(float(next(step for step in ROUND if step * power >= value * (1 - 1e-9)) * power), 6)


def point_warnings(
    source: Path, scene: str, layer: LayerLabels, settings: LabelSettings, windows: np.ndarray, labels: np.ndarray
) -> list[str]:
    """What may be wrong with labels that come from points.

    Args:
        source: The layer's file.
        scene: Name of the scene.
        layer: The layer on the scene.
        settings: Of the labels.
        windows: (n, 4) of all tiles.
        labels: (n,) uint8 {0, 1, 255} of them.
    """
    points = shapely.get_dimensions(layer.features) == 0
    if not points.any():
        return []
    known = layer.distances.length[np.isfinite(layer.distances.length)]
    if len(known) and not SHORTEST_M <= np.median(known) <= known.max() <= LONGEST_M:
        return [
            f"{source}: by the column '{settings.size_column}' landslides of '{scene}' are {known.min():.6g} to "
            f"{known.max():.6g} m long; is it in metres (areas in square metres), and a {settings.size_kind} "
            f"(labels.size_kind)?"
        ]
    negative = labels == 0
    unsized = int((points & ~np.isfinite(layer.distances.length)).sum())
    if unsized:
        if settings.buffer_m == 0 and settings.ignore_m in ("auto", 0):
            return [
                f"{source}: contains points, which mark only the tiles that hold them; the rest of a landslide makes "
                f"negative tiles wrong. {_remedies(source, settings)}"
            ]
        return [
            f"{source}: {unsized} of {int(points.sum())} points near '{scene}' have no size, so nothing tells whether "
            f"labels.buffer_m ({settings.buffer_m:g} m) suits: of {int(negative.sum())} negative tiles many may show "
            f"landslide. {_remedies(source, settings)}"
        ]
    found = []
    wrong = int((negative & layer.within_length(windows)).sum())
    if wrong:
        found.append(
            f"{source}: {wrong} of {int(negative.sum())} negative tiles of '{scene}' lie within the length of a "
            f"landslide from its point and may show it: set 'labels.ignore_m: auto'"
        )
    left_out = int((labels == UNLABELLED).sum())
    if left_out > negative.sum():
        found.append(
            f"{source}: no distance around points is right for '{scene}': landslides are so large that {left_out} of "
            f"{len(labels)} tiles may or may not show one and are left out, {int(negative.sum())} are negative; "
            f"outlines, or labels of tiles (apsam label), say more"
        )
    return found


def _remedies(source: Path, settings: LabelSettings) -> str:
    """What helps a point inventory without sizes."""
    text = "Name a column of lengths or areas (labels.size_column), "
    if settings.ignore_m in ("auto", 0):
        text += "leave tiles near points out (labels.ignore_m), "
    text += "or label the tiles (apsam label, apsam grid)"
    if settings.size_column is None:
        fields = [name for layer in chosen_layers(source) for name in layer.fields]
        likely = [name for name in fields if any(word in name.lower() for word in SIZE_WORDS)]
        if likely:
            text += f"; its column '{likely[0]}' may be one"
    return text
