"""Commands of the scene-wide stages: label map, views for SAM, scene-wide pseudo-mask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Device, LabelErrors, Seed, Threads
from apsam.commands.options import settings as section
from apsam.ground.settings import GroundSettings, ViewSettings
from apsam.resunet.settings import ResUNetSettings

Stacks = Annotated[list[Path], typer.Argument(help="tile stack of the scene, or the stacks of its blocks")]
Image = Annotated[Path, typer.Option(help="raster of the scene")]
Labels = Annotated[Path, typer.Option(help="label map of the scene's ground, from ground-labels")]
Views = Annotated[ViewSettings, section(ViewSettings, "views")]
SceneTriples = Annotated[
    list[Path], typer.Argument(help="rasters, then their tile stacks, then their masks, in the same order")
]


def label_errors(
    tiles: Annotated[list[Path], typer.Argument(help="tile stacks of the training scenes, rasters")],
    output: Annotated[Path, typer.Option(help="JSON file to make")],
    folds: Annotated[int, typer.Option(min=2, help="parts of the cross-validation")] = GroundSettings().folds,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Name the training tiles that are probably labelled negative by mistake, by cross-validation."""
    from apsam.device import set_threads
    from apsam.heatmaps.cross_validation import find_label_errors

    set_threads(threads)
    find_label_errors(tiles, folds, output, device)


def ground_labels(
    tiles: Stacks,
    output: Annotated[Path, typer.Option(help="GeoTIFF to make; of ready-made tiles a stack, .zarr.zip")],
    folder: Annotated[Path | None, typer.Option(help="folder of ready-made tiles that the stack was made of")] = None,
    label_errors: LabelErrors = None,
    layer: Annotated[
        Path | None, typer.Option(help="layer of the labels, whose points have sizes (`labels.size_column`)")
    ] = None,
) -> None:
    """Write the label map of a scene: 0 free of landslides, 1 possible, 255 unknown."""
    from apsam.errors import InputError
    from apsam.ground.labels import make_ground_labels
    from apsam.ground.ready_made import make_tile_ground_labels
    from apsam.tiles.label_errors import read_label_errors

    if folder is None:
        left_out = read_label_errors(label_errors).tiles if label_errors else None
        make_ground_labels(tiles, output, left_out, layer)
    elif len(tiles) == 1:
        make_tile_ground_labels(tiles[0], folder, output)
    else:
        raise InputError(f"{len(tiles)} stacks of ready-made tiles were given; give one, joined by join-stacks")


def views(
    tiles: Stacks,
    image: Image,
    labels: Labels,
    factor: Annotated[Path, typer.Option(help="chosen factor, from heatmap-factor")],
    output: Annotated[Path, typer.Option(help="stack of views to make")],
    settings: Views = ViewSettings(),
) -> None:
    """Cut a scene into views, the windows passed to SAM for a scene-wide pseudo-mask."""
    from apsam.ground.views import make_views
    from apsam.heatmaps.factor import read_factor

    make_views(tiles, image, labels, settings, read_factor(factor), output)


def ground_masks(
    pairs: Annotated[list[Path], typer.Argument(help="stacks of tiles or views, then their mask stacks")],
    labels: Labels,
    output: Annotated[Path, typer.Option(help="GeoTIFF to make")],
    settings: Views = ViewSettings(),
) -> None:
    """Combine the masks of overlapping tiles or views into one pseudo-mask of the scene."""
    from apsam.ground.votes import make_ground_masks

    make_ground_masks(*halves(pairs), labels, output, settings.votes)


def resunet_scenes(
    scenes: SceneTriples,
    output: Annotated[Path, typer.Option(help="weights to make, .safetensors")],
    history: Annotated[Path, typer.Option(help="history of the training to make, .json")],
    number: Annotated[int, typer.Option(min=0, help="which of several networks it is: they differ by seed")] = 0,
    settings: Annotated[ResUNetSettings, section(ResUNetSettings, "resunet")] = ResUNetSettings(),
    seed: Seed = 1,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train the ResUNet on crops at random positions of scenes, with their scene-wide pseudo-masks."""
    from apsam.device import set_threads
    from apsam.resunet.crops import TrainingScene
    from apsam.resunet.train import train_on_scenes

    set_threads(threads)
    seed = network_seed(seed, number) if number else seed
    train_on_scenes([TrainingScene(*three) for three in triples(scenes)], settings, output, history, seed, device)


def network_seed(seed: int, number: int) -> int:
    """Return the seed of one of a run's several networks.

    Of a run's networks (`heatmaps.networks`, at most 20) no two have the same.
    """
    return 20 * seed + number


def halves(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Divide files of two kinds: all of the first, then all of the second.

    Raises:
        InputError: Their number is odd.
    """
    from apsam.errors import InputError

    half, rest = divmod(len(files), 2)
    if rest:
        raise InputError(f"{len(files)} files were given; give as many of the second kind as of the first")
    return files[:half], files[half:]


def triples(files: list[Path]) -> list[tuple[Path, Path, Path]]:
    """Group files by scene; they are listed by kind: all of the first, all of the second, all of the third.

    Raises:
        InputError: Their number is not three for each scene.
    """
    from apsam.errors import InputError

    third, rest = divmod(len(files), 3)
    if rest or not third:
        raise InputError(f"{len(files)} files were given; give three of each scene: all of one kind, then the next")
    return list(zip(files[:third], files[third : 2 * third], files[2 * third :], strict=True))
