"""A raster scene's labels: which file and layer, how many tiles they make positive, how long landslides are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.datums import proj_crs
from apsam.geodesy import Geodesy
from apsam.inputs.report import SceneReport
from apsam.inputs.sizes import landslide_lengths, median_and_longest, point_warnings
from apsam.inputs.state import CheckState
from apsam.scenes import Scene
from apsam.tiles.labels import UNLABELLED
from apsam.tiles.reader import SceneReader
from apsam.tiles.scene_labels import LayerLabels, tile_table
from apsam.tiles.settings import LabelSettings
from apsam.vectors.layers import chosen_layers, is_vector, split_layer

# A layer that makes a larger share of tiles positive gets a warning.
MANY_TILES = 0.9


def count_labels(
    state: CheckState, scene: Scene, reader: SceneReader, windows: np.ndarray, row: SceneReport
) -> np.ndarray:
    """Note which tiles (n, 4) the labels of a raster scene make positive, negative or neither; return them, (n,)."""
    source = scene.labels_source
    assert source is not None and scene.image is not None
    table = tile_table(scene, reader, windows)
    if table is not None:
        row.labels = f"{source.name} ({'tile grid' if is_vector(source) else 'table'})"
        labels = np.array(list(table.values()), np.uint8)
        count_tiles(row, labels)
        return labels
    settings = scene.label_settings(state.labels)
    layer = LayerLabels(source, reader, settings)
    state.layers.setdefault((source, True), []).append(scene.image)
    state.buffers[source] = max(state.buffers.get(source, 0.0), layer.reach)
    labels = np.where(layer.near(windows), UNLABELLED, 0).astype(np.uint8)
    labels[layer.touching(windows)[0]] = 1
    count_tiles(row, labels)
    row.about = True
    row.labels = f"{named_layer(source)} ({len(layer.shapes)} features near{_around_features(layer, settings)})"
    lengths = landslide_lengths(layer.features, Geodesy(proj_crs(reader.crs.to_wkt()), reader.bounds))
    lengths = np.where(np.isnan(lengths), layer.distances.length, lengths)
    row.lengths_m = median_and_longest(lengths)
    keep_lengths(state, scene, row, lengths, min(reader.height, reader.width))
    if not layer.touches:
        state.warnings.append(f"{source}: no feature touches the scene '{scene.name}': all its tiles are negative")
    elif (labels == 1).sum() >= MANY_TILES * len(windows) and len(windows) > 8:
        state.warnings.append(
            f"{source}: makes {row.positive} of {len(windows)} tiles of '{scene.name}' positive; is it the layer "
            f"of landslides, and labels.buffer_m ({settings.buffer_m:g}) right?"
        )
    state.warnings += point_warnings(source, scene.name, layer, settings, windows, labels)
    if settings.buffer_m > (row.tile_m or np.inf):
        state.warnings.append(
            f"labels.buffer_m ({settings.buffer_m:g} m) is more than the side of a tile of '{scene.name}' "
            f"({row.tile_m:.0f} m)"
        )
    return labels


def keep_lengths(state: CheckState, scene: Scene, row: SceneReport, lengths: np.ndarray, across: int) -> None:
    """Keep what is known of landslides' lengths in training scenes; `across`: shorter side of the scene, pixels."""
    known = lengths[np.isfinite(lengths)]
    if scene.split != "test" and len(known) and row.tile_m:
        state.lengths.append((known, row.tile_m, row.tile_m * across / state.tiles.size))


def named_layer(source: Path) -> str:
    """A vector file with the layers that are read."""
    return f"{split_layer(source)[0].name}: {', '.join(layer.name for layer in chosen_layers(source))}"


def _around_features(layer: LayerLabels, settings: LabelSettings) -> str:
    """How far around features tiles are positive, and how far not negative."""
    distances, parts = layer.distances, []
    sized = int(np.isfinite(distances.length).sum())
    if settings.buffer_m and sized < len(layer.features):
        parts.append(f"widened by {settings.buffer_m:g} m")
    if sized:
        parts.append(f"{sized} by their {settings.size_kind} in '{settings.size_column}'")
    if (distances.unknown > distances.positive).any():
        parts.append(f"not negative within {distances.unknown.max():.0f} m")
    return "".join(f", {part}" for part in parts)


def count_tiles(row: SceneReport, labels: np.ndarray) -> None:
    """Note how many labels (n,) uint8 are 1, 0 and 255."""
    row.positive, row.negative = int((labels == 1).sum()), int((labels == 0).sum())
    row.unlabelled = int((labels == UNLABELLED).sum())
