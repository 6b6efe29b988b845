"""A raster scene's reference mask: how it is read, and how much of it is landslide."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.errors import InputError
from apsam.inputs.labels import keep_lengths, named_layer
from apsam.inputs.report import SceneReport
from apsam.inputs.sizes import mask_lengths, median_and_longest
from apsam.inputs.state import CheckState
from apsam.reference_mask import ReferenceMaskReader
from apsam.reference_mask.location import check_mask_header
from apsam.scenes import Scene
from apsam.tiles.labels import UNLABELLED
from apsam.tiles.reader import SceneReader
from apsam.vectors.layers import is_vector

# Side of the decimated version of a mask that shares are estimated on.
SIDE = 512

# A mask with a larger share of landslide gets a warning.
MUCH_LANDSLIDE = 0.5

# At least this share of the positive tiles shows landslide in the mask, or of those that show it is positive.
LEAST_AGREEMENT = 0.5


def look_at_mask(
    state: CheckState,
    scene: Scene,
    reader: SceneReader,
    windows: np.ndarray,
    labels: np.ndarray | None,
    row: SceneReport,
) -> None:
    """Note how the reference mask of a raster scene is read, and its share of landslide.

    Args:
        state: The check.
        scene: The row of the scene sheet.
        reader: The open scene.
        windows: (n, 4) of its tiles.
        labels: (n,) uint8 of them {0, 1, 255}; None: they are derived from the mask.
        row: The report on the scene.

    Raises:
        InputError: It cannot be used, or says nothing about the scene.
    """
    source = scene.mask_source
    assert source is not None and scene.image is not None and row.resolution_m is not None
    if is_vector(source):
        state.layers.setdefault((source, False), []).append(scene.image)
        row.mask = f"{named_layer(source)} (polygons)"
    else:
        row.mask = f"{source.name} (raster)"
        if not state.in_time:
            check_mask_header(source, reader)
            if scene.labels is None:
                row.labels = "mask"
            return
    with ReferenceMaskReader(source, reader, scene.mask_values) as reference:
        overview = reference.overview(SIDE)
        if reference.note is not None:
            row.notes.append(f"{source}: {reference.note}")
    known = overview != UNLABELLED
    if not known.any():
        raise InputError(
            f"{source}: says nothing about the scene {scene.image}: it lies elsewhere, or is no-data where the "
            f"scene is; check its coordinate reference system and its no-data value"
        )
    row.mask_share = float((overview[known] == 1).mean())
    exact = overview.shape == (reader.height, reader.width)
    row.mask_sampled = not exact
    if not row.mask_share and scene.labels is not None and row.positive:
        state.warnings.append(
            f"{source}: shows no landslide in '{scene.name}', of which {row.positive} tiles are labelled positive; "
            f"is it the right mask, and the no-data value that it declares not landslide itself?"
        )
    if row.mask_share and labels is not None:
        shown = _touched(overview == 1, windows, reader.height, reader.width)
        # Small landslides may lie between the pixels that were looked at: then tiles without a label say nothing.
        _compare(state, source, scene.name, shown if exact else shown & (labels != UNLABELLED), labels)
    declared = not is_vector(source) and reference.no_data is not None
    if not row.mask_share and scene.labels is None and declared and not known.all():
        state.warnings.append(
            f"{source}: shows no landslide in '{scene.name}', and {1 - known.mean():.1%} of it is "
            f"{reference.no_data:g}, which it declares as no data; if that value is landslide, unset it: "
            f"gdal_edit.py -unsetnodata {source}"
        )
    if scene.mask_values is not None and is_vector(source):
        state.warnings.append(
            f"{source}: is a layer of polygons, for which 'mask_values' ({scene.mask_values}) says nothing"
        )
    if row.mask_share > MUCH_LANDSLIDE:
        state.warnings.append(
            f"{source}: {row.mask_share:.0%} of '{scene.name}' is landslide by it; is it the mask of landslides, "
            f"and not inverted?"
        )
    if scene.labels is None:
        row.labels = "mask"
        positive = _touched(overview == 1, windows, reader.height, reader.width)
        row.positive, row.negative, row.about = int(positive.sum()), int((~positive).sum()), True
        lengths = mask_lengths(overview == 1, row.resolution_m * reader.height / overview.shape[0])
        row.lengths_m = median_and_longest(lengths)
        keep_lengths(state, scene, row, lengths, min(reader.height, reader.width))
        if not exact and not positive.any():
            row.positive = None  # a small landslide may lie between the pixels that were looked at


def _compare(state: CheckState, source: Path, scene: str, shown: np.ndarray, labels: np.ndarray) -> None:
    """Warn if the landslides of a mask are in few of the tiles labelled positive: then one of both lies elsewhere.

    Args:
        state: The check.
        source: The mask.
        scene: Name of the scene.
        shown: (n,) bool, tiles with landslide in the mask.
        labels: (n,) uint8 {0, 1, 255}.
    """
    positive = labels == 1
    both = int((positive & shown).sum())
    if both < LEAST_AGREEMENT * min(positive.sum(), shown.sum()):
        state.warnings.append(
            f"{source}: shows landslide in {int(shown.sum())} tiles of '{scene}', of which {both} are among the "
            f"{int(positive.sum())} tiles labelled positive; do labels and mask show the same landslides, and do both "
            f"lie at the right place?"
        )


def _touched(landslide: np.ndarray, windows: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which windows (n, 4) hold any landslide pixel of a decimated mask (h, w) bool. (n,) bool."""
    down, across = landslide.shape[0] / height, landslide.shape[1] / width
    total = np.zeros((landslide.shape[0] + 1, landslide.shape[1] + 1), np.int64)
    total[1:, 1:] = landslide.cumsum(axis=0).cumsum(axis=1)
    row, col, tall, wide = windows.T.astype(float)
    top, bottom = np.floor(row * down).astype(int), np.ceil(np.minimum(row + tall, height) * down).astype(int)
    left, right = np.floor(col * across).astype(int), np.ceil(np.minimum(col + wide, width) * across).astype(int)
    return total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] > 0
