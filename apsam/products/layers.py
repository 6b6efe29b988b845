"""Layers that explain a map: the tile grid with its labels, and SAM's prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from affine import Affine
from pyproj import CRS
from shapely import Point, Polygon

from apsam.prompts.files import read_prompts
from apsam.prompts.generate import PromptSet, TilePrompts
from apsam.stack import TileStack
from apsam.tiles.labels import tile_name
from apsam.tiles.outlines import outline
from apsam.tiles.parts import TEST, TRAIN, labelled_tiles

PARTS = {TRAIN: "train", TEST: "test"}


def tile_layer(stacks: Sequence[Path]) -> gpd.GeoDataFrame:
    """Return the tiles of a scene: name, label {0, 1}, part (train, test, neither), share of pixels with data.

    The label is null for a tile without one.

    Args:
        stacks: Tile stacks of the scene or of its blocks.
    """
    rows: list[dict[str, Any]] = []
    outlines: list[Polygon] = []
    for path in stacks:
        with TileStack(path) as stack:
            transform, crs = _georeference(stack)
            windows, label, part = (stack.read(name) for name in ("window", "label", "part"))
            known = labelled_tiles(stack)
            for start, batch in stack.batches(("valid",), 256):
                for offset, valid in enumerate(batch["valid"]):
                    row, col, height, width = windows[start + offset].tolist()
                    rows.append(
                        {
                            "tile": tile_name(row, col),
                            "label": int(label[start + offset]) if known[start + offset] else None,
                            "part": PARTS.get(int(part[start + offset]), "neither"),
                            "valid_share": round(float(valid.mean()), 3),
                        }
                    )
                    outlines.append(outline(transform, row, col, height, width))
    columns = ["tile", "label", "part", "valid_share"]
    return gpd.GeoDataFrame(rows, columns=columns, geometry=outlines, crs=crs).astype({"label": "Int64"})


def prompt_layers(
    stacks: Sequence[Path], prompts: Sequence[Path], masks: Sequence[Path] = ()
) -> dict[str, gpd.GeoDataFrame]:
    """Return the prompts as layers `prompt_boxes` and `prompt_points`, both with tile, threshold, area_px, mean_cam.

    Args:
        stacks, prompts: Tile stacks and prompt files of the scene or of its blocks, in the same order.
        masks: APSAM's mask stacks: if they selected a tile's threshold, only the prompts of that one are shown. Without
            them all prompts are.
    """
    rows: list[dict[str, Any]] = []
    boxes: list[Polygon] = []
    points: list[Point] = []
    for index, (path, file) in enumerate(zip(stacks, prompts, strict=True)):
        with TileStack(path) as stack:
            transform, crs = _georeference(stack)
            windows = stack.read("window")
        chosen = _chosen(masks[index]) if masks else None
        for entry in read_prompts(file).tiles:
            row, col = windows[entry.tile][:2].tolist()
            for prompts_of_one in _used(entry, chosen):
                for prompt in prompts_of_one.prompts:
                    x0, y0, x1, y1 = prompt.box
                    boxes.append(outline(transform, row + y0, col + x0, y1 - y0, x1 - x0))
                    x, y = prompt.point
                    points.append(Point(transform @ (col + x + 0.5, row + y + 0.5)))
                    rows.append(
                        {
                            "tile": tile_name(row, col),
                            "threshold": prompts_of_one.threshold,
                            "area_px": prompt.area,
                            "mean_cam": prompt.mean_cam,
                        }
                    )
    kinds = {"tile": object, "threshold": np.int64, "area_px": np.int64, "mean_cam": np.float64}
    columns = {name: np.array([row[name] for row in rows], kind) for name, kind in kinds.items()}
    return {
        "prompt_boxes": gpd.GeoDataFrame(columns, geometry=boxes, crs=crs),
        "prompt_points": gpd.GeoDataFrame(columns, geometry=points, crs=crs),
    }


def _georeference(stack: TileStack) -> tuple[Affine, CRS]:
    return Affine(*stack.attributes["transform"]), CRS.from_wkt(stack.attributes["crs"])


def _chosen(masks: Path) -> np.ndarray | None:
    with TileStack(masks) as stack:
        return stack.read("threshold") if "threshold" in stack.arrays else None


def _used(entry: TilePrompts, chosen: np.ndarray | None) -> tuple[PromptSet, ...]:
    if chosen is None:
        return entry.sets
    wanted = int(chosen[entry.tile])
    return tuple(one for one in entry.sets if one.threshold == wanted) or entry.sets[:1]
