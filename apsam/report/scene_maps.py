"""The map view of a scene: image, CAM, prompts, pseudo-masks, prediction and reference mask as layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from apsam.errors import ApsamError
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.prompts.files import read_prompts
from apsam.prompts.generate import PromptSet, TilePrompts
from apsam.report.colours import heat_overlay, webp_within
from apsam.report.inputs import SOURCE_NAMES, Notes, SceneFiles, map_sources, mask_sources, open_stack
from apsam.report.mosaic import Mosaic, outlines
from apsam.report.settings import ReportSettings
from apsam.stack import TileStack
from apsam.tiles.parts import TEST, labelled_tiles

# What all maps together may take of the page; of a map's share, what its outlines may take, and its heat maps.
MAPS_SHARE, OUTLINES_SHARE, HEAT_SHARE = 0.6, 0.4, 0.15

# About what WebP needs, base64, for a pixel of a scene.
CHARACTERS_A_PIXEL = 0.2

# Pixels by which outlines may be simplified; the first that fits is taken.
TOLERANCES = (0.5, 1.0, 2.0, 4.0)

STRIP = 1024

# Tiles not labelled positive whose CAMs and masks tell whether the run has the label gate (`label_gate`).
GATE_SAMPLE = 64

NO_REFERENCE_MASK = "the scene sheet gives no mask, so nothing is measured here"


@dataclass(frozen=True)
class SceneMap:
    """One scene, ready to be drawn.

    Attributes:
        name, split: Of the sheet.
        width, height: Of the map, map pixels.
        scale: Map pixels per scene pixel.
        scene_size: Width and height of the scene, pixels.
        transform: Map pixel to map coordinates, six floats, or None.
        crs: Name of the CRS, or None.
        geographic: Whether coordinates are degrees.
        metres: Side of a map pixel, or None.
        tiles, positive: Number of tiles, and of those labelled positive.
        content: Layer key -> href, path or (path of boxes, path of points).
    """

    name: str
    split: str
    width: int
    height: int
    scale: float
    scene_size: tuple[int, int]
    transform: list[float] | None
    crs: str | None
    geographic: bool
    metres: float | None
    tiles: int
    positive: int
    content: dict[str, Any]


def scene_maps(scenes: Sequence[SceneFiles], settings: ReportSettings, notes: Notes) -> list[SceneMap]:
    """The maps of the raster scenes, held-out ones first, at most `settings.map_scenes`."""
    rasters = sorted((s for s in scenes if s.scene.kind != "folder"), key=lambda s: s.scene.split != "test")
    for files in scenes:
        if files.scene.kind == "folder":
            notes.add("map", "a folder of ready-made tiles has no place on a map", files.name)
    for files in rasters[settings.map_scenes :]:
        notes.add("map", f"only {settings.map_scenes} scenes get one (report.map_scenes)", files.name)
    chosen = rasters[: settings.map_scenes]
    budget = int(settings.max_mb * 1e6 * MAPS_SHARE / max(1, len(chosen)))
    side = min(settings.map_side, max(128, int((budget * (1 - OUTLINES_SHARE) / CHARACTERS_A_PIXEL) ** 0.5)))
    made = (_scene_map(files, side, budget, notes) for files in chosen)
    return [one for one in made if one is not None]


def _scene_map(files: SceneFiles, side: int, budget: int, notes: Notes) -> SceneMap | None:
    tiles = open_stack(files.tiles, "tiles", files.name, notes)
    if tiles is None:
        return None
    with tiles:
        facts = tiles.attributes
        windows, label, part = (tiles.read(name) for name in ("window", "label", "part"))
        labelled = labelled_tiles(tiles)
        mosaic = Mosaic(facts["height"], facts["width"], side)
        image = mosaic.image(tiles, windows)
    content: dict[str, Any] = {}
    masks: dict[str, np.ndarray] = {}
    with_data = image[..., 3] > 0
    for key, values in _masks(files, mosaic, windows, label > 0, labelled, notes):
        if key == "cam":
            content[key] = webp_within(_heat(values * with_data, "inferno"), int(budget * HEAT_SHARE))
        else:
            # Half of the labelled tiles that cover a pixel must say landslide.
            masks[key] = (values >= 0.5) & with_data
    sources = map_sources(files.run)
    for source in sources:
        what = f"prediction from {SOURCE_NAMES[source]} masks"
        predicted = _read_small(files.map(source, "mask"), mosaic.shape, what, files, notes)
        if predicted is not None:
            masks[f"prediction-{source}"] = predicted >= 0.5
    source = next((s for s in sources if files.map(s, "probability").is_file()), sources[0])
    probability = _read_small(files.map(source, "probability"), mosaic.shape, "predicted probability", files, notes)
    if probability is not None:
        content["probability"] = webp_within(_heat(probability, "viridis"), int(budget * HEAT_SHARE))
    reference = _reference(files, mosaic, notes)
    if reference is not None:
        masks["truth"] = reference
    masks["positive"] = mosaic.cover(windows[label > 0])
    if 0 < np.count_nonzero(part == TEST) < len(part):
        masks["held-out"] = mosaic.cover(windows[part == TEST])
    content |= _outlines_within(masks, int(budget * OUTLINES_SHARE))
    content["image"] = webp_within(image, budget - sum(len(value) for value in content.values()))
    prompts = _prompts(files, mosaic.scale, windows, notes)
    if prompts is not None:
        content["prompts"] = prompts
    transform = facts["transform"]
    shrink = 1 / mosaic.scale
    return SceneMap(
        name=files.name,
        split=files.scene.split,
        width=mosaic.shape[1],
        height=mosaic.shape[0],
        scale=mosaic.scale,
        scene_size=(facts["width"], facts["height"]),
        transform=[v * shrink if i % 3 < 2 else v for i, v in enumerate(transform)] if transform else None,
        crs=_crs_name(facts["crs"]),
        geographic=_in_degrees(facts["crs"]),
        metres=facts["resolution_m"] * shrink if facts["resolution_m"] else None,
        tiles=len(windows),
        positive=int(label.sum()),
        content=content,
    )


def _outlines_within(masks: dict[str, np.ndarray], limit: int) -> dict[str, str]:
    """The outlines of all masks in at most `limit` characters, simplified as little as that takes."""
    for tolerance in TOLERANCES:
        paths = {key: outlines(mask, tolerance) for key, mask in masks.items()}
        if sum(map(len, paths.values())) <= limit:
            break
    return paths


def _heat(values: np.ndarray, scale: str) -> np.ndarray:
    """0..1 as a see-through heat map at half the map's size: CAMs and probabilities are smooth."""
    half = cv2.resize(values, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) if min(values.shape) > 1 else values
    return heat_overlay((np.clip(half, 0, 1) * 255 + 0.5).astype(np.uint8), scale)


def _masks(
    files: SceneFiles, mosaic: Mosaic, windows: np.ndarray, positive: np.ndarray, labelled: np.ndarray, notes: Notes
) -> Iterator[tuple[str, np.ndarray]]:
    """CAM and pseudo-masks on the map's grid.

    With the label gate, tiles that are not labelled positive are empty: those labelled negative say "no landslide", and
    those without a label say nothing. Without the gate, all tiles have CAMs and masks, and all of them count.
    """
    stacks = [("cam", files.cams, "cam", "CAM")]
    for source in mask_sources(files.run):
        stacks.append((f"masks-{source}", files.masks(source), "mask", f"pseudo-masks, {SOURCE_NAMES[source]}"))
    with ExitStack() as opened:
        found = []
        for key, path, array, name in stacks:
            stack = open_stack(path, name, files.name, notes)
            if stack is not None and fits(opened.enter_context(stack), windows, files, notes):
                found.append((key, stack, array))
        if any(_any_content(stack, array, np.flatnonzero(~positive)) for _, stack, array in found):
            positive = labelled = np.ones(len(windows), bool)
        for key, stack, array in found:
            yield key, mosaic.mean(stack, array, windows, positive, labelled)


def _any_content(stack: TileStack, array: str, tiles: np.ndarray) -> bool:
    """Whether a CAM or mask of some of these tiles, evenly spaced, is not empty."""
    for index in tiles[:: max(1, -(-len(tiles) // GATE_SAMPLE))].tolist():
        values = stack.read(array, index, index + 1)
        if (values == 1 if array == "mask" else values > 0).any():
            return True
    return False


def fits(stack: TileStack, windows: np.ndarray, files: SceneFiles, notes: Notes) -> bool:
    """Whether a stack has the tile axis of the scene's tiles; noted where it has not."""
    if len(stack) == len(windows):
        return True
    why = f"contains {len(stack)} tiles, the scene has {len(windows)}; remove it and run again"
    notes.add(str(stack.path), why, files.name)
    return False


def _read_small(path: Path, shape: tuple[int, int], what: str, files: SceneFiles, notes: Notes) -> np.ndarray | None:
    """A map product at the size of the screen: (h, w) float32, no data as 0. None where it is missing."""
    if not files.mapped or not path.is_file():
        note_missing_map(files, what, path, notes)
        return None
    try:
        with rasterio.open(path) as raster:
            values = raster.read(1, out_shape=shape, masked=True, resampling=Resampling.average)
            return values.filled(0).astype(np.float32) * float(raster.scales[0]) + float(raster.offsets[0])
    except RasterioError as error:
        notes.add(what, f"{path}: cannot be read ({error})", files.name)
        return None


def note_missing_map(files: SceneFiles, what: str, path: Path, notes: Notes) -> None:
    """Note a map that is not there; for training scenes, which are not mapped, once for all of them."""
    if not files.mapped:
        notes.add("predictions", "training scenes are not mapped: the ResUNet is measured on held-out ones", files.name)
    else:
        notes.add(what, f"{path}: no such file", files.name)


def _reference(files: SceneFiles, mosaic: Mosaic, notes: Notes) -> np.ndarray | None:
    """The reference mask on the map's grid, read in strips: (h, w) bool, or None where the scene has none."""
    if files.scene.mask is None:
        notes.add("reference mask", NO_REFERENCE_MASK, files.name)
        return None
    share = np.zeros(mosaic.shape, np.float32)
    try:
        with TileReferenceMasks(MeasuredScene(files.scene, files.tiles)) as scene:
            for row in range(0, scene.height, STRIP):
                height = min(STRIP, scene.height - row)
                landslide = scene.reference.read(row, 0, height, scene.width) == 1
                window = np.array([row, 0, height, scene.width])
                place, part = mosaic.fit(landslide.astype(np.float32), window)
                share[place] = part
    except ApsamError as error:
        notes.add("reference mask", str(error), files.name)
        return None
    return share >= 0.5


def _prompts(files: SceneFiles, scale: float, windows: np.ndarray, notes: Notes) -> tuple[str, str] | None:
    """Boxes and points that made the pseudo-masks, as two SVG paths in map pixels."""
    try:
        entries = read_prompts(files.prompts).tiles
    except ApsamError as error:
        notes.add("prompts", str(error), files.name)
        return None
    thresholds = chosen_thresholds(files)
    boxes, points = [], []
    for entry in entries:
        row, col = (int(v) for v in windows[entry.tile][:2])
        for prompt in used_set(entry, thresholds).prompts:
            x0, y0, x1, y1 = prompt.box
            x, y = (col + x0) * scale, (row + y0) * scale
            boxes.append(f"M{x:.1f} {y:.1f}h{(x1 - x0) * scale:.1f}v{(y1 - y0) * scale:.1f}h{(x0 - x1) * scale:.1f}Z")
            px, py = prompt.point
            points.append(f"M{(col + px + 0.5) * scale:.1f} {(row + py + 0.5) * scale:.1f}h0")
    return "".join(boxes), "".join(points)


def chosen_thresholds(files: SceneFiles) -> np.ndarray | None:
    """The CAM threshold that APSAM's masks chose, tile by tile; None where that is not recorded."""
    try:
        with TileStack(files.masks("apsam")) as stack:
            return stack.read("threshold") if "threshold" in stack.arrays else None
    except ApsamError:
        return None


def used_set(entry: TilePrompts, thresholds: np.ndarray | None) -> PromptSet:
    """Of a tile's prompt sets the one its pseudo-mask was made with; the first where that is not recorded."""
    sets = entry.sets
    if thresholds is None or entry.tile >= len(thresholds):
        return sets[0]
    return next((s for s in sets if s.threshold == int(thresholds[entry.tile])), sets[0])


def _crs_name(wkt: str | None) -> str | None:
    if not wkt:
        return None
    from pyproj import CRS

    crs = CRS.from_wkt(wkt)
    authority = crs.to_authority()
    return f"{':'.join(authority)}, {crs.name}" if authority else crs.name


def _in_degrees(wkt: str | None) -> bool:
    if not wkt:
        return False
    from pyproj import CRS

    return CRS.from_wkt(wkt).is_geographic
