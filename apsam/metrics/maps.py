"""Evaluate maps: every pixel of a scene counts once."""

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
from apsam.metrics.scene import PARTS, MeasuredScene, TileReferenceMasks
from apsam.metrics.tally import Key, Tally, rows
from apsam.protocol import HELD_OUT
from apsam.reference_mask import NO_DATA
from apsam.tiles.parts import TEST, TRAIN

ROWS_AT_ONCE = 1024


def measure_maps(
    scenes: Sequence[MeasuredScene], maps: Mapping[str, Sequence[Path]], protocol: str = HELD_OUT
) -> dict[str, Any]:
    """Evaluate the ResUNet's masks.

    Pixels of a raster scene: those in a test tile and no training tile are test, those in a training tile
    are train, others are ignored. Ready-made tiles are counted at their own size, together with the `centred_box`
    (see `measure_pseudo_masks`, but without the label gate, because a map uses no labels).

    Args:
        scenes: Scenes with a reference mask.
        maps: Source (apsam, cam) -> mask of every scene, in the order of `scenes`: a GeoTIFF {0, 1, 255} on the
            scene's grid, or for folders the zip of `predict_folder`.
        protocol: `held_out`, or `as_released` if a setting requires it (`apsam.protocol`).

    Returns:
        {"protocol", "rows"} as from `measure_pseudo_masks`; "baselines", rows of trivial baselines
        (`apsam.metrics.baselines`), on the same pixels; "warnings" of maps that do not beat them. The centred box is
        among the baselines if a scene is a raster, else in "rows".

    Raises:
        InputError: A map is of another scene, or the reference mask cannot be read.
    """
    tallies: dict[Key, Tally] = {}
    others: dict[Key, Tally] = {}
    rasters = False
    for index, measured in enumerate(scenes):
        name = measured.scene.name
        with TileReferenceMasks(measured) as reference:
            sources = {source: paths[index] for source, paths in maps.items()}
            if reference.names is None:
                rasters = True
                for number, (source, path) in enumerate(sources.items()):
                    for part, guess, there, boxes in _raster_rows(reference, path):
                        tallies.setdefault((source, part, name), Tally()).add_pixels(Counts.of(guess, there))
                        # All maps of a scene have the same known pixels.
                        for other, mask in baselines(guess, boxes).items() if number == 0 else ():
                            others.setdefault((other, part, name), Tally()).add_pixels(Counts.of(mask, there))
            else:
                for source, tile, guess in _predicted_tiles(reference, sources):
                    own_part = reference.part_name(tile)
                    if own_part is None:
                        continue
                    part = own_part
                    there = reference.own(tile)
                    tallies.setdefault((source, part, name), Tally()).add_tile(guess, there)
                    if source == centred_box.NAME:
                        for other in (EVERYTHING, NOTHING):
                            mask = np.full_like(guess, other == EVERYTHING)
                            others.setdefault((other, part, name), Tally()).add_tile(mask, there)
    if rasters:
        # Rasters have the box among the baselines: pool it over the same scenes as the other rows.
        for key in [key for key in tallies if key[0] == centred_box.NAME]:
            others[key] = tallies.pop(key)
    found, of_baselines = rows(tallies), rows(others)
    return {
        "protocol": protocol,
        "rows": found,
        "baselines": of_baselines,
        "warnings": baseline_warnings(found, of_baselines),
    }


def part_rows(window: np.ndarray, part: np.ndarray, top: int, height: int, width: int) -> np.ndarray:
    """Return the part of each pixel in some rows of a scene.

    Args:
        window: (n, 4) tile windows.
        part: (n,) parts of the tiles.
        top: First row.
        height, width: Size of the result.

    Returns:
        (height, width) uint8: 0 train, 1 test, 255 neither. Pixels in training tiles are train, also if in test tiles.
    """
    parts = np.full((height, width), NO_DATA, np.uint8)
    reaching = (window[:, 0] < top + height) & (window[:, 0] + window[:, 2] > top)
    for code in (TEST, TRAIN):
        for row, col, tall, wide in window[reaching & (part == code)].tolist():
            parts[max(row - top, 0) : row + tall - top, col : col + wide] = code
    return parts


def _raster_rows(reference: TileReferenceMasks, path: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield part, and of its pixels map, reference, and whether they are in the middle of a tile, rows by rows."""
    try:
        with rasterio.open(path) as raster:
            if raster.shape != (reference.height, reference.width):
                raise InputError(
                    f"{path}: is not a map of a scene of {reference.width} x {reference.height} px; predict again"
                )
            for top in range(0, reference.height, ROWS_AT_ONCE):
                height = min(ROWS_AT_ONCE, reference.height - top)
                guess = raster.read(1, window=Window(0, top, reference.width, height))
                there = reference.reference.read(top, 0, height, reference.width)
                parts = part_rows(reference.window, reference.part, top, height, reference.width)
                boxes = box_rows(reference.window, top, height, reference.width)
                for name, code in PARTS.items():
                    chosen = parts == code
                    if chosen.any():
                        yield name, guess[chosen], there[chosen], boxes[chosen]
    except RasterioError as error:
        raise InputError(f"{path}: not a map that can be read ({error}); predict again") from error


def _predicted_tiles(
    reference: TileReferenceMasks, sources: Mapping[str, Path]
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield (source, tile, mask at the tile's own size)."""
    for source, path in sources.items():
        assert reference.names is not None
        try:
            with zipfile.ZipFile(path) as archive:
                for tile, name in enumerate(reference.names):
                    yield source, tile, read_mask(archive, name)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not an archive of masks ({error}); predict again") from error
    for tile, (height, width) in enumerate(reference.window[:, 2:].tolist()):
        yield centred_box.NAME, tile, centred_box.centred_box(height, width)
