"""How good maps are: every pixel of a scene counts once."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from apsam.errors import InputError
from apsam.maps.archive import read_mask
from apsam.metrics import centred_box
from apsam.metrics.baselines import EVERYTHING, NOTHING, baseline_warnings, baselines, box_rows
from apsam.metrics.counts import Counts
from apsam.metrics.scene import PARTS, MeasuredScene, TileTruth
from apsam.metrics.tally import Key, Tally, rows
from apsam.protocol import HELD_OUT
from apsam.tiles.parts import TEST, TRAIN
from apsam.truth import NO_DATA

ROWS_AT_ONCE = 1024


def measure_maps(
    scenes: Sequence[MeasuredScene], maps: Mapping[str, Sequence[Path]], protocol: str = HELD_OUT
) -> dict[str, Any]:
    """Measure the ResUNet's masks.

    Pixels of a raster scene: those that a test tile covers and no training tile are test, those that a training tile
    covers are train, others do not count. Ready-made tiles are counted at their own size, beside the `centred_box`
    (see `measure_pseudo_masks`, but without the label's help, since a map has none).

    Args:
        scenes: Scenes with a true mask.
        maps: Source (apsam, cam) -> mask of every scene, in the order of `scenes`: a GeoTIFF {0, 1, 255} on the
            scene's grid, or for folders the zip of `predict_folder`.
        protocol: `held_out`, or `as_released` where a setting says so (`apsam.protocol`).

    Returns:
        {"protocol", "rows"} as from `measure_pseudo_masks`; "baselines", rows of what a map has to beat
        (`apsam.metrics.baselines`), on the same pixels; "warnings" of maps that do not.

    Raises:
        InputError: A map does not belong to its scene, or the truth cannot be read.
    """
    tallies: dict[Key, Tally] = {}
    others: dict[Key, Tally] = {}
    for index, measured in enumerate(scenes):
        name = measured.scene.name
        with TileTruth(measured) as truth:
            sources = {source: paths[index] for source, paths in maps.items()}
            if truth.names is None:
                for number, (source, path) in enumerate(sources.items()):
                    for part, guess, there, boxes in _raster_rows(truth, path):
                        tallies.setdefault((source, part, name), Tally()).add_pixels(Counts.of(guess, there))
                        # All maps of a scene know the same pixels.
                        for other, mask in baselines(guess, boxes).items() if number == 0 else ():
                            others.setdefault((other, part, name), Tally()).add_pixels(Counts.of(mask, there))
            else:
                for source, tile, guess in _predicted_tiles(truth, sources):
                    own_part = truth.part_name(tile)
                    if own_part is None:
                        continue
                    part = own_part
                    there = truth.own(tile)
                    tallies.setdefault((source, part, name), Tally()).add_tile(guess, there)
                    if source == centred_box.NAME:
                        for other in (EVERYTHING, NOTHING):
                            mask = np.full_like(guess, other == EVERYTHING)
                            others.setdefault((other, part, name), Tally()).add_tile(mask, there)
    found, beside = rows(tallies), rows(others)
    return {
        "protocol": protocol,
        "rows": found,
        "baselines": beside,
        "warnings": baseline_warnings(found, beside),
    }


def part_rows(window: np.ndarray, part: np.ndarray, top: int, height: int, width: int) -> np.ndarray:
    """To which part the pixels of some rows of a scene belong.

    Args:
        window: (n, 4) tile windows.
        part: (n,) parts of the tiles.
        top: First row.
        height, width: Size of the answer.

    Returns:
        (height, width) uint8: 0 train, 1 test, 255 neither. Training tiles win: what was trained on is not held out.
    """
    parts = np.full((height, width), NO_DATA, np.uint8)
    for code in (TEST, TRAIN):
        for row, col, tall, wide in window[part == code].tolist():
            first, last = max(row - top, 0), min(row + tall - top, height)
            if first < last:
                parts[first:last, col : col + wide] = code
    return parts


def _raster_rows(truth: TileTruth, path: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield part, and of its pixels map, reference, and whether they lie in the middle of a tile, rows by rows."""
    try:
        with rasterio.open(path) as raster:
            if raster.shape != (truth.height, truth.width):
                raise InputError(f"{path}: is no map of a scene of {truth.width} x {truth.height} px; predict again")
            for top in range(0, truth.height, ROWS_AT_ONCE):
                height = min(ROWS_AT_ONCE, truth.height - top)
                guess = raster.read(1, window=Window(0, top, truth.width, height))
                there = truth.truth.read(top, 0, height, truth.width)
                parts = part_rows(truth.window, truth.part, top, height, truth.width)
                boxes = box_rows(truth.window, top, height, truth.width)
                for name, code in PARTS.items():
                    chosen = parts == code
                    if chosen.any():
                        yield name, guess[chosen], there[chosen], boxes[chosen]
    except RasterioError as error:
        raise InputError(f"{path}: not a map that can be read ({error}); predict again") from error


def _predicted_tiles(truth: TileTruth, sources: Mapping[str, Path]) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield (source, tile, mask at the tile's own size)."""
    for source, path in sources.items():
        assert truth.names is not None
        try:
            with zipfile.ZipFile(path) as archive:
                for tile, name in enumerate(truth.names):
                    yield source, tile, read_mask(archive, name)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not an archive of masks ({error}); predict again") from error
    for tile, (height, width) in enumerate(truth.window[:, 2:].tolist()):
        yield centred_box.NAME, tile, centred_box.centred_box(height, width)
