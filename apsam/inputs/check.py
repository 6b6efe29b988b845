"""Validate all inputs of a run before any work, with the readers that the jobs use, and say what was understood."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from apsam.errors import InputError
from apsam.inputs.chips import warn_of_shared_tiles
from apsam.inputs.folders import check_folder
from apsam.inputs.ground import check_ground
from apsam.inputs.rasters import check_raster
from apsam.inputs.report import Report, SceneReport
from apsam.inputs.sizes import scale_warnings
from apsam.inputs.state import CheckState
from apsam.scenes import Scene
from apsam.tiles.layers import check_layer
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.vectors.layers import is_vector

# Seconds that are spent on pixels: beyond, only headers, tables and layers are read, and the report says so.
PIXEL_SECONDS = 20.0

# Scenes whose resolutions differ by a larger factor look different to a network.
RESOLUTIONS = 1.5


def check(
    scenes: Sequence[Scene],
    tiles: TileSettings,
    labels: LabelSettings,
    split: SplitSettings,
    dem: Path | None = None,
    pixel_seconds: float = PIXEL_SECONDS,
    scene_wide: bool = False,
) -> Report:
    """Read all inputs as the jobs will: headers, tables and layers in full, pixels in a decimated version.

    Args:
        scenes: All scenes of the sheet.
        tiles: How rasters are read and cut.
        labels: When a tile is positive.
        split: Blocks, and what becomes of ground that training and test scenes share.
        dem: Raster of elevations, where one is given, as a path that can be opened.
        pixel_seconds: How long pixels are looked at.
        scene_wide: Whether pseudo-masks are scene-wide, for which a landslide may be longer than a tile.

    Returns:
        What was understood, with warnings.

    Raises:
        InputError: The first thing that is wrong.
    """
    report = Report()
    with _captured(report):
        state = CheckState(tiles, labels, split, time.monotonic() + pixel_seconds)
        for scene in scenes:
            report.scenes.append(_check_scene(state, scene))
        _finish(state, scenes, report, dem)
        if state.lengths and not scene_wide:
            state.warnings += scale_warnings(state.lengths, state.tiles)
    report.warnings = list(dict.fromkeys([*report.warnings, *state.warnings]))
    return report


def _check_scene(state: CheckState, scene: Scene) -> SceneReport:
    """One row of the sheet."""
    row = SceneReport(scene.name, scene.split, scene.kind)
    if scene.kind == "synthetic":
        row.size, row.labels, row.mask = "made by the run", "mask", "made by the run"
        state.known_counts = False
        return row
    labels = scene.labels_source
    state.only_tables &= labels is not None and not is_vector(labels)
    if scene.kind == "folder":
        check_folder(state, scene, row)
    else:
        check_raster(state, scene, row)
    if scene.split != "test":
        if row.positive is None or row.negative is None:
            state.known_counts = False
        else:
            state.train[0] += row.positive
            state.train[1] += row.negative
    return row


def _finish(state: CheckState, scenes: Sequence[Scene], report: Report, dem: Path | None) -> None:
    """What concerns several scenes."""
    for (layer, is_labels), images in state.layers.items():
        check_layer(layer, images, state.buffers[layer] if is_labels else 0, may_be_empty=not is_labels)
    report.notes += check_ground(scenes, state.places, state.tiles, state.split)
    warn_of_shared_tiles(state, scenes)
    state.warnings += _repeated_images(scenes)
    if all(scene.split == "train" for scene in scenes):
        report.notes.append(
            "no scene is held out (split): the training scenes themselves are mapped, and no figure of the run says "
            "how good maps of other scenes are"
        )
    for number, kind in enumerate(("positive", "negative")):
        if not state.known_counts or state.train[number]:
            continue
        problem = f"no tile of the training scenes is labelled {kind}; a localizer needs both kinds"
        if state.only_tables:
            raise InputError(problem)
        state.warnings.append(problem)
    if dem is not None:
        from apsam.products.elevations import check_elevations

        notes, warnings = check_elevations(dem, state.grounds)
        report.notes += [f"{dem}: {note}" for note in notes]
        state.warnings += [f"{dem}: {warning}" for warning in warnings]
    if state.resolutions and max(state.resolutions.values()) > RESOLUTIONS * min(state.resolutions.values()):
        fine, coarse = (f(state.resolutions, key=state.resolutions.__getitem__) for f in (min, max))
        state.warnings.append(
            f"a pixel of '{coarse}' is {state.resolutions[coarse]:.3g} m wide, of '{fine}' "
            f"{state.resolutions[fine]:.3g} m; landslides look different at another resolution, so that one is "
            f"better resampled to the other's"
        )
    state.warnings += _mixed_stretch(state, scenes)
    if state.without_pixels:
        count = len(state.without_pixels)
        report.notes.append(
            f"pixels of {count} scene(s) were not read, to finish in time, '{state.without_pixels[0]}' the "
            f"first: their valid shares and mask values are not known yet"
        )


def _mixed_stretch(state: CheckState, scenes: Sequence[Scene]) -> list[str]:
    """A warning if some scenes are stretched to 8 bit and others are not."""
    if len(set(state.stretched.values())) < 2:
        return []
    some = {stretched: name for name, stretched in reversed(state.stretched.items())}
    remedy = "give scenes of one kind"
    # Ready-made tiles are never stretched.
    if state.tiles.stretch == "auto" and all(scene.kind != "folder" for scene in scenes):
        remedy += ", or stretch all of them ('tiles.stretch: percentile')"
    return [
        f"the values of '{some[True]}' are stretched to 8 bit by percentiles, those of '{some[False]}' are taken as "
        f"they are, so that contrast and colours differ; {remedy}"
    ]


def _repeated_images(scenes: Sequence[Scene]) -> list[str]:
    """A warning for each two rows of one part that have the same image."""
    images = [(scene, scene.image.resolve()) for scene in scenes if scene.image is not None]
    return [
        f"scenes '{first[0].name}' and '{second[0].name}' ({first[0].split}) are the same {first[0].kind} {first[1]}: "
        f"its tiles count twice, with the labels of each row"
        for first, second in itertools.combinations(images, 2)
        if first[1] == second[1] and first[0].split == second[0].split
    ]


@contextmanager
def _captured(report: Report) -> Iterator[None]:
    """Take what readers log for the report instead of the screen."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            (report.warnings if record.levelno >= logging.WARNING else report.notes).append(record.getMessage())

    logger, handler = logging.getLogger("apsam"), Handler()
    before = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate, level = before
        logger.setLevel(level)
