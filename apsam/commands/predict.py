"""Commands that map scenes with a trained ResUNet: those of the predict stage, and one for any scene."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from apsam.commands.options import BlockOption, Device, Threads, read_block
from apsam.commands.options import settings as section
from apsam.maps.settings import MapSettings
from apsam.tiles.settings import TileSettings

Weights = Annotated[Path, typer.Option(help="weights of the ResUNet")]
Settings = Annotated[MapSettings, section(MapSettings, "maps")]
Tiles = Annotated[TileSettings, section(TileSettings, "tiles")]


def predict_scene(
    name: Annotated[str, typer.Option(help="name of the scene")],
    image: Annotated[Path, typer.Option(help="raster scene")],
    weights: Weights,
    probability: Annotated[Path, typer.Option(help="GeoTIFF of the probability to make")],
    mask: Annotated[Path, typer.Option(help="GeoTIFF of the mask to make")],
    settings: Settings = MapSettings(),
    tile_settings: Tiles = TileSettings(),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Map a raster scene with a trained ResUNet."""
    from apsam.device import set_threads
    from apsam.resunet.predict import predict_raster

    set_threads(threads)
    predict_raster(image, weights, tile_settings, settings, probability, mask, device, name)


def predict_block(
    name: Annotated[str, typer.Option(help="name of the scene")],
    image: Annotated[Path, typer.Option(help="raster scene")],
    weights: Weights,
    output: Annotated[Path, typer.Option(help="GeoTIFF of the band to make")],
    block: BlockOption,
    settings: Settings = MapSettings(),
    tile_settings: Tiles = TileSettings(),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Predict one of several bands of rows of a raster scene."""
    from apsam.device import set_threads
    from apsam.resunet.predict import predict_band

    set_threads(threads)
    predict_band(image, weights, tile_settings, settings, read_block(block), output, device, name)


def predict_join(
    bands: Annotated[list[Path], typer.Argument(help="bands of the scene, from the top down")],
    name: Annotated[str, typer.Option(help="name of the scene")],
    image: Annotated[Path, typer.Option(help="raster scene")],
    probability: Annotated[Path, typer.Option(help="GeoTIFF of the probability to make")],
    mask: Annotated[Path, typer.Option(help="GeoTIFF of the mask to make")],
    settings: Settings = MapSettings(),
    tile_settings: Tiles = TileSettings(),
) -> None:
    """Mosaic the bands of a raster scene into its maps."""
    from apsam.maps.bands import join_bands

    join_bands(image, bands, settings, probability, mask, name, tile_settings)


def predict_tiles(
    folder: Annotated[Path, typer.Option(help="folder of ready-made tiles")],
    weights: Weights,
    masks: Annotated[Path, typer.Option(help="archive of the masks to make, .zip")],
    settings: Settings = MapSettings(),
    tile_settings: Tiles = TileSettings(),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Map a folder of ready-made tiles with a trained ResUNet."""
    from apsam.device import set_threads
    from apsam.resunet.predict import predict_folder

    set_threads(threads)
    predict_folder(folder, weights, tile_settings, settings, masks, device)


def predict_mask(
    probability: Annotated[Path, typer.Option(help="map of the probability")],
    mask: Annotated[Path, typer.Option(help="GeoTIFF of the mask to make")],
) -> None:
    """Write the mask of a map at the threshold with the highest expected F1."""
    from apsam.maps.decision import write_decided_mask

    write_decided_mask(probability, mask)


def predict(
    scenes: Annotated[list[Path], typer.Argument(help="rasters, or folders of ready-made tiles")],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for the maps")],
    run: Annotated[Path | None, typer.Option(help="folder of a trained run", show_default=False)] = None,
    model: Annotated[
        Literal["self_training", "ground", "apsam", "cam"] | None,
        typer.Option(
            help="with --run: pseudo-masks that the network was trained on: self_training (those of the second round), "
            "ground (scene-wide ones, ground.masks), apsam or cam; by default the first of these that the run has",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="weights of a ResUNet, instead of a run; no other file is needed")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="configuration whose keys of `maps` and `products`, and `tiles.bands`, `tiles.nodata` and "
            "`ground.decision`, replace those of the run",
            show_default=False,
        ),
    ] = None,
    resample: Annotated[
        bool | None,
        typer.Option(
            "--resample/--no-resample",
            help="interpolate scenes that are coarser than in training / map finer ones as they are; by default finer "
            "scenes are read at the training's ground resolution, coarser ones as they are",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="also replace files that apsam did not make")] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Map any scene with a trained network: probability, mask, polygons, and a QGIS project with all of them."""
    from apsam.api.prediction import map_scenes
    from apsam.device import set_threads
    from apsam.maps.model import find_model

    found = find_model(run, model, weights, config)
    predictions = map_scenes(found, scenes, output, resample, overwrite, device)
    print(found.in_words(), file=sys.stderr)
    set_threads(threads)
    for made in predictions:
        if made.archive is not None:
            print(made.archive)
            continue
        if made.project is not None:
            print(f"{made.project}: {made.landslides} landslide{'s' * (made.landslides != 1)}; open it in QGIS")
        print(*filter(None, (made.probability, made.mask, made.geopackage)), sep="\n")
