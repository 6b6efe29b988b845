"""A scene that is one raster, validated in the order in which the jobs read it."""

from __future__ import annotations

from apsam.inputs.headers import describe
from apsam.inputs.labels import count_labels
from apsam.inputs.masks import look_at_mask
from apsam.inputs.pixels import look_at_pixels
from apsam.inputs.report import SceneReport
from apsam.inputs.state import CheckState
from apsam.scenes import Scene
from apsam.tiles.parts import check_blocks
from apsam.tiles.reader import SceneReader
from apsam.tiles.sources import check_image, check_labels_and_mask
from apsam.tiles.tiling import check_size
from apsam.tiles.windows import tile_windows


def check_raster(state: CheckState, scene: Scene, row: SceneReport) -> None:
    """Validate a raster scene, its labels and its mask, and note what was understood.

    Raises:
        InputError: The first thing that is wrong.
    """
    check_image(scene)
    assert scene.image is not None
    with SceneReader(scene.image, state.tiles) as reader:
        check_labels_and_mask(scene)
        if scene.split == "blocks":
            check_blocks(scene.image, reader.height, reader.width, state.split, state.tiles)
        check_size(scene.image, reader.height, reader.width, state.tiles)
        describe(state, scene, reader, row)
        if note := reader.resolution_note():
            (row.notes if reader.averaged else state.warnings).append(note)
        windows = tile_windows(reader.height, reader.width, state.tiles.size, state.tiles.stride)
        labels = None if scene.labels is None else count_labels(state, scene, reader, windows, row)
        if scene.mask is not None:
            look_at_mask(state, scene, reader, windows, labels, row)
        if state.in_time:
            look_at_pixels(state, scene, reader, row)
        else:
            state.without_pixels.append(scene.name)
