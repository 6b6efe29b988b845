"""Adaptive prompt generation: a tile's CAM becomes boxes and points for SAM (paper, section II-B, equations 2 to 8)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from apsam.errors import InputError
from apsam.files import atomic_path, read_json, write_json
from apsam.prompt_settings import PromptSettings
from apsam.stack import TileStack

SCHEMA = 1
# Of a contour's length: how far the paper's code simplifies contours before it takes their centroid.
RELEASED_SIMPLIFICATION = 0.001


@dataclass(frozen=True)
class Prompt:
    """One box and one point, born from the same contour. Pixels of the tile, x to the right, y down.

    Attributes:
        box: x0, y0, x1, y1; the pixels of the contour lie within x0 <= x < x1, y0 <= y < y1 (equation 4).
        point: x, y, a pixel inside the contour.
        point_label: 1, positive; the paper's points all are.
        point_source: `centroid` (equation 6), or `interior` where the centroid falls outside the region.
        area: Area of the region without its holes, px2.
        mean_cam: Mean of the CAM over the region, 0..255.
        contour: Vertices (x, y) of the outer contour (equation 3).
    """

    box: tuple[int, int, int, int]
    point: tuple[float, float]
    point_label: int
    point_source: Literal["centroid", "interior"]
    area: int
    mean_cam: float
    contour: list[tuple[int, int]]


def binarize(cam: np.ndarray, threshold: int) -> np.ndarray:
    """Equation 2: 1 where the grey value exceeds the threshold, else 0. (h, w) uint8 -> (h, w) uint8."""
    return (cam > threshold).astype(np.uint8)


def generate_prompts(cam: np.ndarray, threshold: int, settings: PromptSettings | None = None) -> list[Prompt]:
    """Equations 2 to 8: the prompts of one tile.

    Regions are 8-connected; a hole belongs to the region around it and takes part in neither point nor area, and an
    island within a hole is a region of its own. The centroid of equation 6 is computed over the region's pixels, that
    is with the moments of the filled contour less those of its holes: equal to the paper's for a region without holes
    up to the half pixel between polygon and pixels, and defined for regions of one pixel too. A centroid outside the
    region (U-shapes, rings) would be a false positive point; the deepest interior pixel takes its place. The choices of
    the paper's released code are `area`, `contours` and `point` of the settings.

    Args:
        cam: (h, w) uint8.
        threshold: 0..254.
        settings: Which contours count, and where the point lies; its thresholds are not read. None: the defaults.

    Returns:
        One prompt a region, from top to bottom.
    """
    settings = settings or PromptSettings()
    binary = binarize(cam, threshold)
    mode = cv2.RETR_CCOMP if settings.contours == "all" else cv2.RETR_EXTERNAL
    contours, hierarchy = cv2.findContours(binary, mode, cv2.CHAIN_APPROX_SIMPLE)
    _, regions = cv2.connectedComponents(binary, connectivity=8)
    prompts = []
    for index, contour in enumerate(contours):
        if hierarchy[0, index, 3] != -1:  # the border of a hole
            continue
        x, y, width, height = cv2.boundingRect(contour)
        first_x, first_y = contour[0, 0]
        region = (regions[y : y + height, x : x + width] == regions[first_y, first_x]).astype(np.uint8)
        area = int(region.sum())
        measured = area if settings.area == "region" else cv2.contourArea(contour)
        if measured < settings.min_area or min(width, height) < settings.min_side:
            continue
        point, source = _point_inside(region)
        if settings.point == "centroid" and (centroid := _polygon_centroid(contour - (x, y))) is not None:
            point, source = centroid, "centroid"
        prompts.append(
            Prompt(
                box=(x, y, x + width, y + height),
                point=(round(point[0] + x, 2), round(point[1] + y, 2)),
                point_label=1,
                point_source=source,
                area=area,
                mean_cam=round(float(cam[y : y + height, x : x + width][region > 0].mean()), 2),
                contour=[(int(a), int(b)) for a, b in contour[:, 0]],
            )
        )
    return sorted(prompts, key=lambda prompt: (prompt.box[1], prompt.box[0], prompt.area))


def _polygon_centroid(contour: np.ndarray) -> tuple[float, float] | None:
    """Centroid (x, y) of the contour simplified by a thousandth of its length; None for a polygon without area."""
    simple = cv2.approxPolyDP(contour, RELEASED_SIMPLIFICATION * cv2.arcLength(contour, True), True)
    moments = cv2.moments(simple)
    if not moments["m00"]:
        return None
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]


def _point_inside(region: np.ndarray) -> tuple[tuple[float, float], Literal["centroid", "interior"]]:
    """The centroid by moments (equations 5 and 6), or the deepest pixel where it lies outside. (x, y) in the region."""
    moments = cv2.moments(region, binaryImage=True)
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    if region[int(y + 0.5), int(x + 0.5)]:
        return (x, y), "centroid"
    depth = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, col = np.unravel_index(int(depth.argmax()), depth.shape)
    return (float(col), float(row)), "interior"


def make_prompts(cams: Path, settings: PromptSettings, output: Path) -> None:
    """Write the prompts of one scene: `<scene>.json`.

    Tiles labelled negative have an empty CAM and are absent, as are tiles without any region.

    Args:
        cams: CAM stack of the scene.
        settings: Thresholds and smallest area.
        output: The JSON file (schema in docs/architecture.md).
    """
    tiles = []
    with TileStack(cams) as stack:
        for start, batch in stack.batches(("cam",), 256):
            for offset in np.flatnonzero(batch["cam"].any(axis=(1, 2))):
                cam = batch["cam"][offset]
                sets = [
                    {
                        "threshold": t,
                        "prompts": [asdict(p) for p in generate_prompts(cam, t, settings)],
                    }
                    for t in settings.thresholds()
                ]
                if any(s["prompts"] for s in sets):
                    tiles.append({"tile": int(start + offset), "sets": sets})
        scene = stack.attributes["scene"]
    write_json(
        output,
        {"schema": SCHEMA, "scene": scene, "settings": settings.model_dump(mode="json"), "tiles": tiles},
    )


def read_prompts(path: Path) -> dict[str, Any]:
    """Read `<scene>.json`.

    Raises:
        InputError: Not a prompt file, or one of another schema.
    """
    prompts = read_json(path)
    if not isinstance(prompts, dict) or prompts.get("schema") != SCHEMA:
        raise InputError(f"{path}: not a prompt file of schema {SCHEMA}; remove it and run again")
    return prompts


def check_tile_order(prompts: Mapping[str, Any], path: Path, count: int) -> None:
    """Check the tile numbers of a prompt file, which may have been edited by hand.

    Args:
        prompts: What `read_prompts` gives.
        path: Its file, for the message.
        count: Number of tiles of the scene.

    Raises:
        InputError: The numbers are not rising, one is used twice, or one is no tile of the scene.
    """
    numbers = [entry["tile"] for entry in prompts["tiles"]]
    for before, number in zip([None, *numbers], numbers, strict=False):
        if not isinstance(number, int) or not 0 <= number < count:
            raise InputError(f"{path}: tile {number!r} does not exist, the scene has {count}; make the prompts again")
        if before is not None and number <= before:
            raise InputError(f"{path}: tile {number} comes after tile {before}; list each tile once, by rising number")


def join_prompts(blocks: Sequence[Path], lengths: Sequence[int], output: Path) -> None:
    """Write the prompts of a scene, given those of its blocks.

    Args:
        blocks: Prompt files of the blocks, in order.
        lengths: Number of tiles of every block.
        output: The JSON file: as `make_prompts` would write it of the whole scene.
    """
    joined, first = None, 0
    for path, length in zip(blocks, lengths, strict=True):
        prompts = read_prompts(path)
        tiles = [{**entry, "tile": entry["tile"] + first} for entry in prompts["tiles"]]
        joined = {**prompts, "tiles": [*joined["tiles"], *tiles]} if joined else {**prompts, "tiles": tiles}
        first += length
    write_json(output, joined)


def write_prompts_geojson(prompts: dict[str, Any], tiles: Path, output: Path) -> None:
    """Write the prompts in the scene's CRS, so that they lie over the scene in a GIS.

    Each prompt gives two features, its box (polygon) and its point. For folders of ready-made tiles, which have no
    place on the map, the file holds no feature.

    Args:
        prompts: What `read_prompts` gives.
        tiles: Tile stack of the scene.
        output: The GeoJSON file.
    """
    with TileStack(tiles) as stack:
        transform, crs = stack.attributes["transform"], stack.attributes["crs"]
        windows = stack.read("window")
    features: list[dict[str, Any]] = []
    if transform is not None:
        a, b, c, d, e, f = transform
        for entry in prompts["tiles"]:
            row, col = (int(v) for v in windows[entry["tile"]][:2])
            for prompt_set in entry["sets"]:
                for prompt in prompt_set["prompts"]:
                    x0, y0, x1, y1 = prompt["box"]
                    ring = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
                    px, py = prompt["point"][0] + 0.5, prompt["point"][1] + 0.5
                    corners = [_to_map(col + x, row + y, a, b, c, d, e, f) for x, y in ring]
                    point = _to_map(col + px, row + py, a, b, c, d, e, f)
                    properties = {
                        "tile": entry["tile"],
                        "threshold": prompt_set["threshold"],
                        **{k: prompt[k] for k in ("area", "mean_cam", "point_source")},
                    }
                    features.append(_feature("Polygon", [corners], {**properties, "prompt": "box"}))
                    features.append(_feature("Point", point, {**properties, "prompt": "point"}))
    collection: dict[str, Any] = {"type": "FeatureCollection", "name": prompts["scene"], "features": features}
    if crs is not None:
        collection["crs"] = {"type": "name", "properties": {"name": _crs_urn(crs)}}
    with atomic_path(output) as partial:
        partial.write_text(json.dumps(collection, sort_keys=True) + "\n", encoding="utf-8")


def _to_map(x: float, y: float, a: float, b: float, c: float, d: float, e: float, f: float) -> tuple[float, float]:
    return a * x + b * y + c, d * x + e * y + f


def _feature(kind: str, coordinates: Sequence[Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }


def _crs_urn(wkt: str) -> str:
    from pyproj import CRS

    authority = CRS.from_wkt(wkt).to_authority()
    return f"urn:ogc:def:crs:{authority[0]}::{authority[1]}" if authority else wkt
