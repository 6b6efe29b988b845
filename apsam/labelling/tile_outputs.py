"""Read a run's predictions of every tile of a scene: localizer, map, pseudo-mask. Reference masks are not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.windows import Window

from apsam.errors import InputError
from apsam.maps.archive import read_mask
from apsam.maps.cog import NO_DATA
from apsam.masks.stack import same_tiles
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.labels import UNLABELLED, tile_name
from apsam.tiles.outlines import outlines
from apsam.tiles.parts import labelled_tiles

# A tile's score is the mean of its most probable pixels, because a landslide may be small.
TOP_SHARE = 0.01

BATCH = 32


@dataclass(frozen=True)
class RunScene:
    """Files of one scene of a run; all but `tiles` may be None or missing.

    Attributes:
        name: Of the scene.
        tiles: Tile stack, or the file that joins its blocks.
        scores: Localizer's scores of all tiles (`score_tiles`).
        masks: APSAM's pseudo-mask stack.
        probability: Map of the ResUNet: a raster, or the zip of masks of a folder of tiles.
        map_scores: The ResUNet's scores of all tiles (`predict_tiles`), for a scene that is not mapped.
    """

    name: str
    tiles: Path
    scores: Path | None = None
    masks: Path | None = None
    probability: Path | None = None
    map_scores: Path | None = None


@dataclass
class TileOutputs:
    """Labels and predictions of the tiles of one scene.

    Attributes:
        name: Of the scene.
        names: (n,) of the tiles.
        label: (n,) uint8 {0, 1, 255}.
        boxes: (n,) polygons in pixels of the scene; None for a folder.
        members: Name -> (n,) float in 0..1, NaN without a prediction of the tile.
        missing: Missing files of the run.
    """

    name: str
    names: list[str]
    label: np.ndarray
    boxes: np.ndarray | None
    members: dict[str, np.ndarray]
    missing: list[str] = field(default_factory=list)


def read_tile_outputs(scene: RunScene) -> TileOutputs:
    """Read a run's predictions of a scene's tiles.

    Raises:
        InputError: The tile stack is missing, or another file is of other tiles.
    """
    with TileStack(scene.tiles) as stack:
        windows, label = stack.read("window"), _labels(stack)
        names = stack.attributes.get("names") or [tile_name(row, col) for row, col, _, _ in windows.tolist()]
        folder = stack.attributes["kind"] == "folder"
    found = TileOutputs(
        scene.name,
        list(names),
        label,
        None if folder else outlines(Affine.identity(), windows),
        {},
    )
    if _there(scene.scores, "the localizer's scores", found):
        with same_tiles(scene.tiles, scene.scores) as stack:
            found.members["localizer"] = stack.read("score").astype(float)
    if scene.map_scores is not None and scene.map_scores.exists():
        with same_tiles(scene.tiles, scene.map_scores) as stack:
            found.members["map"] = stack.read("score").astype(float)
    elif _there(scene.probability, "a map", found):
        found.members["map"] = (
            _map_of_folder(scene.probability, found.names) if folder else _map_of_raster(scene.probability, windows)
        )
    if _there(scene.masks, "pseudo-masks", found):
        found.members["pseudo-mask"] = _masks(scene, found.label)
    return found


def score_tiles(tiles: Path, weights: Path, output: Path, device: str = "auto") -> None:
    """Write the localizer's probability of every tile, labelled or not: `score` (n,) float32 in 0..1.

    Args:
        tiles: Tile stack.
        weights: Of the localizer.
        output: The stack to write.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        InputError: Tiles or weights cannot be used.
    """
    import torch

    from apsam.device import bf16_pays, pick_device
    from apsam.localizer.checkpoint import load_localizer
    from apsam.progress import track

    where = pick_device(device)
    method = load_localizer(weights).to(where)
    with TileStack(tiles) as stack:
        attributes = {"scene": stack.attributes["scene"]}
        with (
            torch.inference_mode(),
            torch.autocast(where.type, torch.bfloat16, enabled=bf16_pays(where)),
            TileStackWriter(output, attributes, {"score": ((), "float32")}) as writer,
        ):
            for start in track(range(0, len(stack), BATCH), f"localizer's scores of {stack.attributes['scene']}"):
                images = torch.from_numpy(stack.read("image", start, start + BATCH)).to(where)
                writer.append(score=method.logits(images).float().sigmoid().cpu().numpy())


def predict_tiles(tiles: Path, weights: Path, output: Path, device: str = "auto") -> None:
    """Write a trained ResUNet's score of every tile of a scene that is not mapped: `score` (n,) float32 in 0..1.

    As for a map, the score is the mean of the most probable hundredth of the tile's valid pixels.

    Args:
        tiles: Tile stack.
        weights: Of the ResUNet.
        output: The stack to write.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        InputError: Tiles or weights cannot be used.
    """
    from apsam.maps.settings import MapSettings
    from apsam.progress import track
    from apsam.resunet.predict import Predictor

    predictor = Predictor(weights, MapSettings(flips=False), device)
    with TileStack(tiles) as stack:
        attributes = {"scene": stack.attributes["scene"]}
        with TileStackWriter(output, attributes, {"score": ((), "float32")}) as writer:
            for start in track(range(0, len(stack), BATCH), f"map of the tiles of {stack.attributes['scene']}"):
                answers = predictor.probabilities(stack.read("image", start, start + BATCH))
                valid = stack.read("valid", start, start + BATCH) > 0
                scores = [top_mean(answer[seen]) for answer, seen in zip(answers, valid, strict=True)]
                writer.append(score=np.array(scores, np.float32))


def _labels(stack: TileStack) -> np.ndarray:
    """Return labels (n,) uint8 {0, 1, 255}, 255 for tiles without a label, which the array `label` has as 0."""
    return np.where(labelled_tiles(stack), stack.read("label"), UNLABELLED).astype(np.uint8)


def _there(path: Path | None, what: str, found: TileOutputs) -> TypeGuard[Path]:
    if path is None or not path.exists():
        found.missing.append(what)
        return False
    return True


def top_mean(values: np.ndarray) -> float:
    """Return the mean of the highest hundredth of some probabilities, at least one; NaN if there are none."""
    if not values.size:
        return float("nan")
    count = max(1, round(values.size * TOP_SHARE))
    return float(np.partition(values, values.size - count)[-count:].mean())


def _map_of_raster(path: Path, windows: np.ndarray) -> np.ndarray:
    scores = np.full(len(windows), np.nan)
    try:
        with rasterio.open(path) as raster:
            scale, whole = raster.scales[0], Window(0, 0, raster.width, raster.height)
            for index, (row, col, height, width) in enumerate(windows.tolist()):
                inside = Window(col, row, width, height).intersection(whole)
                values = raster.read(1, window=inside)
                scores[index] = top_mean(values[values != NO_DATA] * scale)
    except RasterioError as error:
        raise InputError(f"{path}: not a map that can be read ({error}); predict again") from error
    return scores


def _map_of_folder(path: Path, names: Sequence[str]) -> np.ndarray:
    """Read masks from the zip, which has no probabilities: 1 where there is landslide."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return np.array([top_mean((read_mask(archive, name) == 1).astype(float).ravel()) for name in names])


def _masks(scene: RunScene, label: np.ndarray) -> np.ndarray:
    """Whether the pseudo-mask of a positive tile is not empty; other tiles have no pseudo-mask."""
    assert scene.masks is not None
    found = np.full(len(label), np.nan)
    with same_tiles(scene.tiles, scene.masks) as stack:
        for start, batch in stack.batches(("mask",), BATCH):
            some = (batch["mask"] == 1).any(axis=(1, 2))
            found[start : start + len(some)] = some
    return np.where(label == 1, found, np.nan)


def centres(boxes: np.ndarray) -> np.ndarray:
    """Return (n, 2) centres of tiles."""
    return shapely.get_coordinates(shapely.centroid(boxes))
