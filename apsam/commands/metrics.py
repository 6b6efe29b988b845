"""Commands that evaluate a run against the reference masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import DataDir, Device, LabelErrors, Protocol, Sheet, Synthetic, Threads, named
from apsam.commands.options import settings as section
from apsam.maps.settings import MapSettings
from apsam.protocol import HELD_OUT

Output = Annotated[Path, typer.Option(help="JSON file to make")]
Tiles = Annotated[Path, typer.Option(help="folder of the tile stacks")]
Only = Annotated[list[str] | None, typer.Option(help="name of a scene; all measured ones where none is given")]
MASKS = typer.Option(metavar="NAME=FOLDER", help="what is measured: apsam=FOLDER, ...; repeatable")


def metrics_masks(
    scenes: Sheet,
    tiles: Tiles,
    synthetic: Synthetic,
    masks: Annotated[list[str], MASKS],
    output: Output,
    protocol: Protocol = HELD_OUT,
    data_dir: DataDir = None,
    only: Only = None,
) -> None:
    """Evaluate the pseudo-masks of a run, tile by tile."""
    from apsam.files import write_json
    from apsam.metrics.pseudo_masks import measure_pseudo_masks
    from apsam.metrics.scene import measured_scenes

    measured = measured_scenes(scenes, data_dir, tiles, synthetic, only)
    stacks = {name: [m.stack_in(folder) for m in measured] for name, folder in map(named, masks)}
    write_json(output, measure_pseudo_masks(measured, stacks, protocol))


def metrics_maps(
    scenes: Sheet,
    tiles: Tiles,
    synthetic: Synthetic,
    maps: Annotated[list[str], MASKS],
    output: Output,
    protocol: Protocol = HELD_OUT,
    training_scenes: Annotated[bool, typer.Option(help="measure training scenes too, in rows of their own")] = False,
    data_dir: DataDir = None,
    only: Only = None,
) -> None:
    """Evaluate the maps of a run, pixel by pixel."""
    from apsam.files import write_json
    from apsam.metrics.maps import measure_maps
    from apsam.metrics.scene import measured_scenes

    measured = [
        m
        for m in measured_scenes(scenes, data_dir, tiles, synthetic, only)
        if training_scenes or m.scene.split != "train"
    ]
    files = {name: [m.map_in(folder) for m in measured] for name, folder in map(named, maps)}
    write_json(output, measure_maps(measured, files, protocol))


def metrics_localizer(
    tiles: Annotated[list[Path], typer.Argument(help="tile stacks of the scenes with held-out tiles")],
    weights: Annotated[Path, typer.Option(help="weights of the localizer")],
    output: Output,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Evaluate the image-level classification of held-out tiles by the localizer."""
    from apsam.device import set_threads
    from apsam.localizer.evaluate import evaluate_localizer

    set_threads(threads)
    evaluate_localizer(tiles, weights, output, device)


def metrics_objects(
    scenes: Sheet,
    tiles: Tiles,
    synthetic: Synthetic,
    maps: Annotated[list[str], MASKS],
    output: Output,
    protocol: Protocol = HELD_OUT,
    min_area_m2: Annotated[float, typer.Option(help="smaller landslides do not count; products.min_area_m2")] = 0,
    data_dir: DataDir = None,
    only: Only = None,
) -> None:
    """Evaluate the maps of a run per landslide: found, missed, false, and their area."""
    from apsam.files import write_json
    from apsam.metrics.objects import measure_objects
    from apsam.metrics.scene import measured_scenes

    measured = [m for m in measured_scenes(scenes, data_dir, tiles, synthetic, only) if m.scene.kind != "folder"]
    files = {name: [m.map_in(folder) for m in measured] for name, folder in map(named, maps)}
    write_json(output, measure_objects(measured, files, protocol, min_area_m2))


def metrics_checks(
    output: Output,
    pairs: Annotated[
        list[Path] | None, typer.Argument(help="tile stacks of raster scenes, then their maps of probability")
    ] = None,
    settings: Annotated[MapSettings, section(MapSettings, "maps")] = MapSettings(),
    mask: Annotated[
        list[Path] | None, typer.Option(help="masks of the maps, whose thresholds count instead of maps.threshold")
    ] = None,
    training: Annotated[list[Path] | None, typer.Option(help="tile stack of a training scene")] = None,
    localizer: Annotated[Path | None, typer.Option(help="metrics of the localizer on held-out tiles")] = None,
    masked: Annotated[list[Path] | None, typer.Option(help="tile stack of a raster scene with pseudo-masks")] = None,
    pseudo_masks: Annotated[list[Path] | None, typer.Option(help="its pseudo-masks, in the same order")] = None,
    label_errors: LabelErrors = None,
    heat_maps: Annotated[list[Path] | None, typer.Option(help="heat map of a training scene")] = None,
    calibration: Annotated[Path | None, typer.Option(help="their calibrated threshold, from heatmap-threshold")] = None,
    scene_masks: Annotated[
        list[Path] | None, typer.Option(help="scene-wide pseudo-mask of each training scene, in the same order")
    ] = None,
) -> None:
    """Check a training and its maps without reference masks, by image-level labels and plausibility of the map."""
    from apsam.errors import InputError
    from apsam.files import write_json
    from apsam.metrics.checks import check_maps, threshold_of
    from apsam.metrics.training_checks import check_training

    pairs, masked, pseudo_masks = pairs or [], masked or [], pseudo_masks or []
    if len(masked) != len(pseudo_masks):
        raise InputError(f"{len(pseudo_masks)} stacks of pseudo-masks for {len(masked)} of tiles; give one for each")
    training, scene_masks = training or [], scene_masks or []
    if scene_masks and len(scene_masks) != len(training):
        raise InputError(f"{len(scene_masks)} scene-wide masks for {len(training)} training scenes; give one for each")
    half, rest = divmod(len(pairs), 2)
    if rest:
        raise InputError(f"{len(pairs)} files were given; give a map for each tile stack")
    thresholds = list(map(threshold_of, mask)) if mask else [settings.threshold] * half
    if len(thresholds) != half:
        raise InputError(f"{len(thresholds)} masks were given for {half} maps; give the mask of each map")
    of_maps = check_maps(pairs[:half], pairs[half:], thresholds)
    of_training = check_training(
        training,
        localizer,
        list(zip(masked, pseudo_masks, strict=True)),
        heat_maps or (),
        label_errors,
        calibration,
        list(zip(training, scene_masks, strict=False)),
    )
    write_json(output, {**of_training, **of_maps, "warnings": [*of_training["warnings"], *of_maps["warnings"]]})


def metrics_summary(
    masks: Annotated[Path, typer.Option(help="metrics of the pseudo-masks")],
    maps: Annotated[Path, typer.Option(help="metrics of the ResUNets' maps")],
    output: Output,
) -> None:
    """Collect IoU and F1 of a run in one flat table, to compare versions of the run."""
    from apsam.files import read_json, write_json
    from apsam.metrics.summary import summarise

    write_json(output, summarise({"masks": read_json(masks), "resunet": read_json(maps)}))
