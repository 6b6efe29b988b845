"""Commands that measure a run against the true masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apsam.errors import InputError

if TYPE_CHECKING:
    from apsam.metrics.scene import MeasuredScene

Sheet = Annotated[Path, typer.Option(help="scene sheet")]
Output = Annotated[Path, typer.Option(help="JSON file to make")]
Tiles = Annotated[Path, typer.Option(help="folder of the tile stacks")]
Synthetic = Annotated[Path, typer.Option(help="folder of the synthetic scenes")]
Protocol = Annotated[str, typer.Option(help="held_out or as_released: named in the file")]
DataDir = Annotated[Path | None, typer.Option(help="folder that the sheet's paths start from", show_default=False)]
Only = Annotated[list[str] | None, typer.Option(help="name of a scene; all measured ones where none is given")]
MASKS = typer.Option(metavar="NAME=FOLDER", help="what is measured: apsam=FOLDER, ...; can be given several times")


def metrics_masks(
    scenes: Sheet,
    tiles: Tiles,
    synthetic: Synthetic,
    masks: Annotated[list[str], MASKS],
    output: Output,
    protocol: Protocol = "held_out",
    data_dir: DataDir = None,
    only: Only = None,
) -> None:
    """Measure the pseudo-masks of a run, tile by tile."""
    from apsam.files import write_json
    from apsam.metrics.pseudo_masks import measure_pseudo_masks

    measured = [m for m in measured_scenes(scenes, data_dir, tiles, synthetic) if not only or m.scene.name in only]
    stacks = {
        name: [folder / f"{m.scene.name}.zarr.zip" for m in measured] for name, folder in _named_folders(masks).items()
    }
    write_json(output, measure_pseudo_masks(measured, stacks, protocol))


def metrics_maps(
    scenes: Sheet,
    tiles: Tiles,
    synthetic: Synthetic,
    maps: Annotated[list[str], MASKS],
    output: Output,
    protocol: Protocol = "held_out",
    training_scenes: Annotated[bool, typer.Option(help="measure training scenes too, in rows of their own")] = False,
    data_dir: DataDir = None,
) -> None:
    """Measure the maps of a run, pixel by pixel."""
    from apsam.files import write_json
    from apsam.metrics.maps import measure_maps

    measured = [
        m for m in measured_scenes(scenes, data_dir, tiles, synthetic) if training_scenes or m.scene.split != "train"
    ]
    files = {
        name: [folder / f"{m.scene.name}{'.zip' if m.scene.kind == 'folder' else '_mask.tif'}" for m in measured]
        for name, folder in _named_folders(maps).items()
    }
    write_json(output, measure_maps(measured, files, protocol))


def metrics_summary(
    masks: Annotated[Path, typer.Option(help="figures of the pseudo-masks")],
    maps: Annotated[Path, typer.Option(help="figures of the ResUNets' maps")],
    output: Output,
) -> None:
    """Put IoU and F1 of a run into one flat table, to compare versions of it."""
    from apsam.files import read_json, write_json
    from apsam.metrics.summary import summarise

    write_json(output, summarise({"masks": read_json(masks), "resunet": read_json(maps)}))


def _named_folders(arguments: list[str]) -> dict[str, Path]:
    """`NAME=FOLDER` arguments as name -> folder; a folder's own name may hold further `=`."""
    named = dict(argument.partition("=")[::2] for argument in arguments)
    for name, folder in named.items():
        if not name or not folder:
            raise InputError(f"'{name}={folder}': give NAME=FOLDER, for example apsam=results/demo/masks/apsam")
    return {name: Path(folder) for name, folder in named.items()}


def measured_scenes(sheet: Path, data_dir: Path | None, tiles: Path, synthetic: Path) -> list[MeasuredScene]:
    """The scenes of the sheet that have a true mask."""
    from dataclasses import replace

    from apsam.metrics.scene import MeasuredScene
    from apsam.scenes import read_scene_sheet

    measured = []
    for scene in read_scene_sheet(sheet, data_dir):
        if scene.kind == "synthetic":
            files = {"image": synthetic / f"{scene.name}.tif", "mask": synthetic / f"{scene.name}_mask.tif"}
            scene = replace(scene, **files)
        if scene.mask is not None:
            measured.append(MeasuredScene(scene, tiles / f"{scene.name}.zarr.zip"))
    return measured
