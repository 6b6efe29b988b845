"""Commands that measure a run against the true masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from apsam.metrics.scene import MeasuredScene

Results = Annotated[Path, typer.Option(help="folder of the run, results/<run>")]
Sheet = Annotated[Path, typer.Option(help="scene sheet")]
Output = Annotated[Path, typer.Option(help="JSON file to make")]
Sources = Annotated[list[str], typer.Option("--source", help="apsam, cam, ...; can be given several times")]
DataDir = Annotated[Path | None, typer.Option(help="folder that the sheet's paths start from", show_default=False)]


def metrics_masks(results: Results, scenes: Sheet, source: Sources, output: Output, data_dir: DataDir = None) -> None:
    """Measure the pseudo-masks of a run, tile by tile."""
    from apsam.files import write_json
    from apsam.metrics.pseudo_masks import measure_pseudo_masks

    measured = _measured(results, scenes, data_dir)
    masks = {name: [results / f"masks/{name}/{m.scene.name}.zarr.zip" for m in measured] for name in source}
    write_json(output, measure_pseudo_masks(measured, masks))


def metrics_maps(results: Results, scenes: Sheet, source: Sources, output: Output, data_dir: DataDir = None) -> None:
    """Measure the maps of a run, pixel by pixel: of the scenes that are not all for training."""
    from apsam.files import write_json
    from apsam.metrics.maps import measure_maps

    measured = [m for m in _measured(results, scenes, data_dir) if m.scene.split != "train"]
    maps = {
        name: [
            results / f"maps/{name}/{m.scene.name}{'.zip' if m.scene.kind == 'folder' else '_mask.tif'}"
            for m in measured
        ]
        for name in source
    }
    write_json(output, measure_maps(measured, maps))


def _measured(results: Path, sheet: Path, data_dir: Path | None) -> list[MeasuredScene]:
    """The scenes of the sheet that have a true mask; synthetic ones lie in the run's folder."""
    from dataclasses import replace

    from apsam.metrics.scene import MeasuredScene
    from apsam.scenes import read_scene_sheet

    measured = []
    for scene in read_scene_sheet(sheet, data_dir):
        if scene.kind == "synthetic":
            base = results / "scenes"
            scene = replace(scene, image=base / f"{scene.name}.tif", mask=base / f"{scene.name}_mask.tif")
        if scene.mask is not None:
            measured.append(MeasuredScene(scene, results / f"tiles/{scene.name}.zarr.zip"))
    return measured
