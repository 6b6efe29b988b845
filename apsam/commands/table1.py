"""Commands of Table 1: masks for comparison, CAMs at the oracle threshold, table and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.metrics import Only, Output, Tiles
from apsam.commands.options import Cams, DataDir, Protocol, Sheet, Synthetic, named
from apsam.commands.options import Tiles as TileStackOption
from apsam.protocol import HELD_OUT

Masks = Annotated[Path, typer.Option(help="mask stack to make")]


def masks_agreed(
    tiles: TileStackOption,
    cams: Cams,
    masks: Annotated[Path, typer.Option(help="stack of APSAM masks of the scene")],
    output: Masks,
) -> None:
    """Threshold each tile's CAM at the value that agrees best with SAM's masks."""
    from apsam.masks.references import make_agreed_masks

    make_agreed_masks(tiles, cams, masks, output)


def masks_box(tiles: TileStackOption, output: Masks) -> None:
    """Make masks of a fixed box in every tile labelled positive: the lower bound."""
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
    """Use the reference masks as pseudo-masks: the upper bound, with full supervision."""
    from apsam.masks.references import make_reference_masks
    from apsam.metrics.scene import measured_scene

    make_reference_masks(measured_scene(scene, scenes, data_dir, tiles, synthetic), output)


def cam_oracle(
    scenes: Sheet,
    tiles: Tiles,
    synthetic: Synthetic,
    cams: Annotated[Path, typer.Option(help="folder of the CAM stacks")],
    threshold: Annotated[list[int], typer.Option(help="threshold to try, grey value; repeatable")],
    output: Output,
    protocol: Protocol = HELD_OUT,
    data_dir: DataDir = None,
    only: Only = None,
) -> None:
    """Evaluate CAMs at the oracle threshold, selected by the reference masks: an upper bound."""
    from apsam.experiments.cam_oracle import measure_cam_oracle
    from apsam.files import write_json
    from apsam.metrics.scene import measured_scenes

    measured = measured_scenes(scenes, data_dir, tiles, synthetic, only)
    stacks = [m.stack_in(cams) for m in measured]
    write_json(output, measure_cam_oracle(measured, stacks, threshold, protocol))


def compare_methods(
    scenes: Sheet,
    tiles: Tiles,
    synthetic: Synthetic,
    kind: Annotated[str, typer.Option(help="masks (pseudo-masks) or maps (of the ResUNets)")],
    only: Annotated[list[str], typer.Option(help="name of a scene; repeatable")],
    compared: Annotated[
        list[str], typer.Option(help="METHOD=FILE of its masks or maps, a file for each scene in the sheet's order")
    ],
    output: Annotated[Path, typer.Option(help="JSON to make; CSV, PNG and SVG are written next to it")],
    protocol: Protocol = HELD_OUT,
    data_dir: DataDir = None,
) -> None:
    """Show the same tiles with the result of every localization method (paper, Figs. 2 and 3)."""
    from apsam.experiments.side_by_side import compare_methods as compare
    from apsam.experiments.side_by_side import draw_side_by_side
    from apsam.experiments.table import write_experiment
    from apsam.metrics.scene import measured_scenes

    measured = measured_scenes(scenes, data_dir, tiles, synthetic, only)
    files: dict[str, list[Path]] = {}
    for method, file in map(named, compared):
        files.setdefault(method, []).append(Path(file))
    experiment, tiles_shown = compare(kind, measured, files, protocol)
    draw_side_by_side(tiles_shown, list(files), output)
    write_experiment(experiment, output)


def table1(
    output: Annotated[Path, typer.Option(help="JSON to make; CSV, PNG and SVG are written next to it")],
    dataset: Annotated[str, typer.Option(help="name of the run")],
    measured: Annotated[list[str] | None, typer.Option(help="KIND:SOURCE:METHOD:SEED=JSON; repeatable")] = None,
    seconds: Annotated[list[str] | None, typer.Option(help="METHOD:SEED=FILE of the store; repeatable")] = None,
) -> None:
    """Make the table of localization methods (paper, Table 1)."""
    from apsam.experiments.figures import draw_methods
    from apsam.experiments.table import write_experiment
    from apsam.experiments.table1 import Measured, read_seconds
    from apsam.experiments.table1 import table1 as tabulate

    files = [Measured.parse(*named(argument)) for argument in measured or []]
    timed: dict[tuple[str, int], list[Path]] = {}
    for name, path in map(named, seconds or []):
        method, _, seed = name.partition(":")
        timed.setdefault((method, int(seed)), []).append(Path(path))
    costs = {key: read_seconds(paths) for key, paths in timed.items()}
    experiment = tabulate(files, costs, dataset)
    draw_methods(experiment, output)
    write_experiment(experiment, output)
