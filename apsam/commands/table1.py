"""Commands of Table 1: masks to compare with, the oracle's cut, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.metrics import DataDir, Only, Output, Protocol, Sheet, Synthetic, Tiles, measured_scenes
from apsam.commands.options import Cams
from apsam.commands.options import Tiles as TileStackOption
from apsam.errors import InputError

Masks = Annotated[Path, typer.Option(help="mask stack to make")]


def masks_agreed(
    tiles: TileStackOption,
    cams: Cams,
    masks: Annotated[Path, typer.Option(help="stack of APSAM masks of the scene")],
    output: Masks,
) -> None:
    """Cut each tile's CAM where SAM's masks agree best with it."""
    from apsam.masks.references import make_agreed_masks

    make_agreed_masks(tiles, cams, masks, output)


def masks_box(tiles: TileStackOption, output: Masks) -> None:
    """Put a fixed box into every tile labelled positive: the lower bound."""
    from apsam.masks.references import make_box_masks

    make_box_masks(tiles, output)


def masks_truth(
    scene: Annotated[str, typer.Option(help="name of the scene in the sheet")],
    scenes: Sheet,
    tiles: Annotated[Path, typer.Option(help="folder of the tile stacks")],
    synthetic: Synthetic,
    output: Masks,
    data_dir: DataDir = None,
) -> None:
    """Take the true masks for pseudo-masks: the upper bound, with full supervision."""
    from apsam.masks.references import make_truth_masks

    measured = next((m for m in measured_scenes(scenes, data_dir, tiles, synthetic) if m.scene.name == scene), None)
    if measured is None:
        raise InputError(f"{scenes}: '{scene}' has no true mask; table1 needs one of every training scene")
    make_truth_masks(measured, output)


def cam_oracle(
    scenes: Sheet,
    tiles: Tiles,
    synthetic: Synthetic,
    cams: Annotated[Path, typer.Option(help="folder of the CAM stacks")],
    threshold: Annotated[list[int], typer.Option(help="grey value tried; several times")],
    output: Output,
    protocol: Protocol = "held_out",
    data_dir: DataDir = None,
    only: Only = None,
) -> None:
    """Measure CAMs at the cut that the truth would choose: what a rule could reach."""
    from apsam.experiments.cam_oracle import measure_cam_oracle
    from apsam.files import write_json

    measured = [m for m in measured_scenes(scenes, data_dir, tiles, synthetic) if not only or m.scene.name in only]
    stacks = [cams / f"{m.scene.name}.zarr.zip" for m in measured]
    write_json(output, measure_cam_oracle(measured, stacks, threshold, protocol))


def table1(
    output: Annotated[Path, typer.Option(help="JSON to make; CSV, PNG and SVG are written beside it")],
    dataset: Annotated[str, typer.Option(help="name of the run")],
    measured: Annotated[list[str] | None, typer.Option(help="KIND:SOURCE:METHOD:SEED=JSON; several times")] = None,
    seconds: Annotated[list[str] | None, typer.Option(help="METHOD:SEED=FILE,FILE: benchmark files")] = None,
) -> None:
    """Make the table of localization methods (paper, Table 1)."""
    from apsam.experiments.figures import draw_bars
    from apsam.experiments.table import write_experiment
    from apsam.experiments.table1 import Measured, read_seconds
    from apsam.experiments.table1 import table1 as tabulate

    files = [Measured.parse(*_named(argument)) for argument in measured or []]
    costs = {}
    for name, paths in map(_named, seconds or []):
        method, _, seed = name.partition(":")
        costs[method, int(seed)] = read_seconds(map(Path, paths.split(",")))
    experiment = tabulate(files, costs, dataset)
    draw_bars(experiment, "iou", ("measured", "method", "masks"), output)
    write_experiment(experiment, output)


def _named(argument: str) -> tuple[str, str]:
    """`NAME=VALUE`; the value may hold further `=`."""
    name, equals, value = argument.partition("=")
    if not (name and equals and value):
        raise InputError(f"'{argument}': expected NAME=VALUE")
    return name, value
