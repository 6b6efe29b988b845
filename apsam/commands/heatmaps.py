"""Commands of the stages that make heat maps from image-level labels, as an alternative to CAMs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.ground import Image, Labels, Views, network_seed, triples
from apsam.commands.options import Cams, Device, Ground, LabelErrors, LabelGate, Seed, Threads, Tiles
from apsam.commands.options import settings as section
from apsam.ground.settings import ViewSettings
from apsam.heatmaps.settings import HeatMapSettings
from apsam.maps.settings import MapSettings
from apsam.self_training.settings import SelfTrainingSettings

Settings = Annotated[HeatMapSettings, section(HeatMapSettings, "heatmaps")]
Logits = Annotated[Path, typer.Option(help="heat map of the scene, from heatmap-scene")]
Threshold = Annotated[Path, typer.Option(help="calibrated threshold, from heatmap-threshold")]


def heatmap_network(
    scenes: Annotated[
        list[Path], typer.Argument(help="rasters, then their tile stacks, then label maps of their ground")
    ],
    output: Annotated[Path, typer.Option(help="weights to make, .safetensors")],
    history: Annotated[Path, typer.Option(help="history of the training to make, .json")],
    number: Annotated[int, typer.Option(min=0, help="which of `heatmaps.networks` it is; each has its own seed")] = 0,
    settings: Settings = HeatMapSettings(),
    seed: Seed = 1,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train one of the networks of the heat maps on the label maps of the training scenes."""
    from apsam.device import set_threads
    from apsam.heatmaps.train import train_heat_network

    set_threads(threads)
    images, tiles, labels = zip(*triples(scenes), strict=True)
    train_heat_network(images, tiles, labels, settings, output, history, network_seed(seed, number), device)


def heatmap_scene(
    networks: Annotated[list[Path], typer.Argument(help="weights of the networks, from heatmap-network")],
    tiles: Tiles,
    image: Image,
    output: Annotated[Path, typer.Option(help="GeoTIFF to make")],
    settings: Settings = HeatMapSettings(),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write the heat map of a scene: mean log-odds of the networks."""
    from apsam.device import set_threads
    from apsam.heatmaps.logits import make_logits

    set_threads(threads)
    make_logits(tiles, image, networks, settings, output, device)


def heatmap_threshold(
    scenes: Annotated[
        list[Path], typer.Argument(help="tile stacks of the training scenes, then their heat maps, then label maps")
    ],
    output: Annotated[Path, typer.Option(help="JSON file to make")],
    label_errors: LabelErrors = None,
    settings: Settings = HeatMapSettings(),
) -> None:
    """Find the threshold at which the heat maps agree best with the labels of the training tiles."""
    from apsam.heatmaps.calibrate import calibrate, write_decision
    from apsam.tiles.label_errors import read_label_errors

    left_out = read_label_errors(label_errors).tiles if label_errors else None
    tiles, logits, labels = zip(*triples(scenes), strict=True)
    decision = calibrate(tiles, logits, settings.present_share, left_out, labels)
    write_decision(decision, output, {"present_share": settings.present_share})


def heatmap_factor(
    scenes: Annotated[
        list[Path], typer.Argument(help="tile stacks of the training scenes, then their heat maps, then label maps")
    ],
    threshold: Threshold,
    output: Annotated[Path, typer.Option(help="JSON file to make")],
    settings: Views = ViewSettings(),
) -> None:
    """Select the size of the area that a view for SAM shows, by how much of a view the heat maps cover."""
    from apsam.heatmaps.calibrate import read_decision
    from apsam.heatmaps.factor import choose_factor, write_factor

    tiles, logits, labels = zip(*triples(scenes), strict=True)
    write_factor(choose_factor(tiles, logits, labels, read_decision(threshold), settings), output)


def heatmap_stack(
    tiles: Annotated[Path, typer.Option(help="stack of tiles or views")],
    logits: Logits,
    labels: Labels,
    output: Annotated[Path, typer.Option(help="stack to make, read like a CAM stack")],
    threshold: Threshold,
    settings: Settings = HeatMapSettings(),
) -> None:
    """Cut a scene's heat map into grey maps of tiles or views, 0 where the labels exclude a landslide."""
    from apsam.heatmaps.calibrate import read_decision
    from apsam.heatmaps.grey import make_heat_stack

    make_heat_stack(tiles, logits, labels, read_decision(threshold), settings, output)


def heatmap_tiles(
    tiles: Tiles,
    cams: Cams,
    weights: Annotated[Path, typer.Option(help="weights of the first round's ResUNet")],
    output: Annotated[Path, typer.Option(help="stack to make, read like a CAM stack")],
    settings: Annotated[MapSettings, section(MapSettings, "maps")] = MapSettings(),
    cam_share: Annotated[
        float, typer.Option(min=0, max=1, help="share of the CAM in the mean of CAM and map")
    ] = SelfTrainingSettings().cam_share,
    grey_per_logit: Annotated[
        float, typer.Option(help="grey values per unit of log-odds")
    ] = HeatMapSettings().grey_per_logit,
    label_gate: LabelGate = True,
    ground: Ground = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Map a scene's positive tiles with a ResUNet, as grey maps that a second round reads like CAMs."""
    from apsam.device import set_threads
    from apsam.self_training.heat_maps import make_tile_heat_maps

    set_threads(threads)
    make_tile_heat_maps(tiles, weights, settings, output, cams, cam_share, grey_per_logit, device, label_gate, ground)


def heatmap_masks(
    tiles: Tiles,
    logits: Logits,
    labels: Labels,
    output: Annotated[Path, typer.Option(help="GeoTIFF to make")],
    threshold: Annotated[
        Path | None,
        typer.Option(help="from heatmap-threshold; none: a probability of 0.5, for networks that learned masks"),
    ] = None,
) -> None:
    """Write the scene-wide pseudo-mask of the heat map alone, without SAM."""
    from apsam.heatmaps.calibrate import read_decision
    from apsam.heatmaps.grey import make_heat_masks

    log_odds = 0.0 if threshold is None else read_decision(threshold)
    make_heat_masks(logits, labels, log_odds, tiles, output)
