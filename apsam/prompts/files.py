"""Prompt files: the prompts of a scene as JSON, and on the map as GeoJSON (schema in docs/architecture.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from apsam.errors import InputError
from apsam.files import atomic_path, read_record, write_json
from apsam.prompts.generate import Prompt, PromptSet, TilePrompts, tile_prompts
from apsam.prompts.settings import PromptSettings
from apsam.stack import TileStack

SCHEMA = 1


@dataclass(frozen=True)
class ScenePrompts:
    """Content of a prompt file.

    Attributes:
        scene: Name of the scene.
        settings: The section `prompts` that they were made with, as JSON values.
        tiles: Tiles that have a prompt at any threshold, by increasing index.
    """

    scene: str
    settings: Mapping[str, Any]
    tiles: tuple[TilePrompts, ...]


def make_prompts(cams: Path, settings: PromptSettings, output: Path) -> None:
    """Write the prompts of one scene: `<scene>.json`.

    Tiles labelled negative have an empty CAM and are absent, as are tiles without any region.

    Args:
        cams: CAM stack of the scene.
        settings: Thresholds and smallest area.
        output: The JSON file.
    """
    tiles = []
    with TileStack(cams) as stack:
        for start, batch in stack.batches(("cam",), 256):
            for offset in np.flatnonzero(batch["cam"].any(axis=(1, 2))):
                found = tile_prompts(int(start + offset), batch["cam"][offset], settings, settings.thresholds())
                if any(one.prompts for one in found.sets):
                    tiles.append(found)
        scene = stack.attributes["scene"]
    write_prompts(ScenePrompts(scene, settings.model_dump(mode="json"), tuple(tiles)), output)


def write_prompts(prompts: ScenePrompts, path: Path) -> None:
    """Write a prompt file."""
    write_json(path, {"schema": SCHEMA, **asdict(prompts)})


def read_prompts(path: Path) -> ScenePrompts:
    """Read a prompt file.

    Raises:
        InputError: Not a prompt file, one of another schema, or an entry that is not a prompt.
    """
    content = read_record(path, SCHEMA, ["scene", "settings", "tiles"], "a prompt file")
    try:
        tiles = tuple(map(_tile, content["tiles"]))
        return ScenePrompts(content["scene"], content["settings"], tiles)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: contains an entry that is not a prompt ({error}); make the prompts again") from error


def _tile(entry: Mapping[str, Any]) -> TilePrompts:
    sets = (PromptSet(one["threshold"], tuple(map(_prompt, one["prompts"]))) for one in entry["sets"])
    return TilePrompts(entry["tile"], tuple(sets))


def _prompt(entry: Mapping[str, Any]) -> Prompt:
    prompt = Prompt(**entry)
    x0, y0, x1, y1 = prompt.box
    x, y = prompt.point
    if not (0 <= x0 < x1 < math.inf and 0 <= y0 < y1 < math.inf and math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"box {prompt.box} and point {prompt.point}: needs 0 <= x0 < x1, 0 <= y0 < y1 and numbers")
    if prompt.point_label not in (0, 1):
        raise ValueError(f"point_label {prompt.point_label} is neither 1 nor 0")
    return replace(
        prompt, box=(x0, y0, x1, y1), point=(x, y), contour=tuple((column, row) for column, row in prompt.contour)
    )  # fmt: skip


def check_tile_order(prompts: ScenePrompts, path: Path, count: int) -> None:
    """Check the tile numbers of a prompt file, which may have been edited by hand.

    Args:
        prompts: Result of `read_prompts`.
        path: Path of the file, for the message.
        count: Number of tiles of the scene.

    Raises:
        InputError: The numbers are not increasing, one occurs twice, or one is not a tile of the scene.
    """
    numbers = [entry.tile for entry in prompts.tiles]
    for before, number in zip([None, *numbers], numbers, strict=False):
        if not isinstance(number, int) or not 0 <= number < count:
            raise InputError(f"{path}: tile {number!r} does not exist, the scene has {count}; make the prompts again")
        if before is not None and number <= before:
            raise InputError(f"{path}: tile {number} comes after tile {before}; list each tile once, by rising number")


def join_prompts(blocks: Sequence[Path], lengths: Sequence[int], output: Path) -> None:
    """Merge the prompt files of a scene's blocks.

    Args:
        blocks: Prompt files of the blocks, in order; at least one.
        lengths: Number of tiles of every block.
        output: The JSON file, the same as `make_prompts` would write for the whole scene.
    """
    joined: list[TilePrompts] = []
    first = 0
    for path, length in zip(blocks, lengths, strict=True):
        prompts = read_prompts(path)
        joined += [replace(entry, tile=entry.tile + first) for entry in prompts.tiles]
        first += length
    write_prompts(replace(prompts, tiles=tuple(joined)), output)


def write_prompts_geojson(prompts: ScenePrompts, tiles: Path, output: Path) -> None:
    """Write the prompts in the scene's CRS, for display over the scene in a GIS.

    Each prompt becomes two features, its box (polygon) and its point. For folders of ready-made tiles, which are not
    georeferenced, the file has no features.

    Args:
        prompts: Result of `read_prompts`.
        tiles: Tile stack of the scene.
        output: The GeoJSON file.
    """
    with TileStack(tiles) as stack:
        transform, crs = stack.attributes["transform"], stack.attributes["crs"]
        windows = stack.read("window")
    features: list[dict[str, Any]] = []
    if transform is not None:
        place = Affine(*transform)
        for entry in prompts.tiles:
            row, col = (int(v) for v in windows[entry.tile][:2])
            for prompt_set in entry.sets:
                for prompt in prompt_set.prompts:
                    x0, y0, x1, y1 = prompt.box
                    ring = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
                    px, py = prompt.point[0] + 0.5, prompt.point[1] + 0.5
                    corners = [place @ (col + x, row + y) for x, y in ring]
                    point = place @ (col + px, row + py)
                    properties = {
                        "tile": entry.tile,
                        "threshold": prompt_set.threshold,
                        "area": prompt.area,
                        "mean_cam": prompt.mean_cam,
                        "point_source": prompt.point_source,
                    }
                    features.append(_feature("Polygon", [corners], {**properties, "prompt": "box"}))
                    features.append(_feature("Point", point, {**properties, "prompt": "point"}))
    collection: dict[str, Any] = {"type": "FeatureCollection", "name": prompts.scene, "features": features}
    if crs is not None:
        collection["crs"] = {"type": "name", "properties": {"name": _crs_urn(crs)}}
    with atomic_path(output) as partial:
        partial.write_text(json.dumps(collection, sort_keys=True) + "\n", encoding="utf-8")


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
