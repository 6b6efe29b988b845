"""Commands of the experiments: one decodes a scene's trials, the others make one table each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apsam.commands.options import DataDir, Device, Ground, Protocol, Sheet, Synthetic, Threads, named
from apsam.commands.options import settings as section
from apsam.experiments.settings import ExperimentSettings
from apsam.prompts.settings import PromptSettings
from apsam.protocol import HELD_OUT
from apsam.sam.settings import MasksSettings, SamSettings

if TYPE_CHECKING:
    from apsam.experiments.everything import SceneFiles

Trials = Annotated[list[Path], typer.Argument(help="trials of every measured scene")]
Output = Annotated[Path, typer.Option(help="JSON to make; CSV, PNG and SVG are written next to it")]
Settings = Annotated[ExperimentSettings, section(ExperimentSettings, "experiments")]
Sam = Annotated[SamSettings, section(SamSettings, "sam")]


def trials(
    scene: Annotated[str, typer.Option(help="name of the scene in the sheet")],
    tiles: Annotated[Path, typer.Option(help="its tile stack")],
    cams: Annotated[Path, typer.Option(help="its CAM stack")],
    embeddings: Annotated[Path, typer.Option(help="its embedding stack")],
    scenes: Sheet,
    synthetic: Synthetic,
    output: Annotated[Path, typer.Option(help="stack of trials to make")],
    settings: Settings = ExperimentSettings(),
    prompts: Annotated[PromptSettings, section(PromptSettings, "prompts")] = PromptSettings(),
    sam: Sam = SamSettings(),
    masks: Annotated[MasksSettings, section(MasksSettings, "masks")] = MasksSettings(),
    protocol: Protocol = HELD_OUT,
    data_dir: DataDir = None,
    device: Device = "auto",
    ground: Ground = None,
    threads: Threads = None,
) -> None:
    """Decode and count the trials of threshold sweep and prompt ablation for one scene."""
    from dataclasses import replace

    from apsam.device import set_threads
    from apsam.experiments.trials import make_trials
    from apsam.metrics.scene import measured_scene

    set_threads(threads)
    measured = replace(measured_scene(scene, scenes, data_dir, tiles.parent, synthetic), tiles=tiles)
    make_trials(measured, cams, embeddings, prompts, sam, masks, settings, output, protocol, device, ground)


def threshold_sweep(trials: Trials, output: Output, settings: Settings = ExperimentSettings()) -> None:
    """Make table and figure of the threshold sweep (paper, Fig. 5)."""
    from apsam.experiments.figures import draw_threshold_sweep
    from apsam.experiments.results import read_trials
    from apsam.experiments.table import write_experiment
    from apsam.experiments.threshold_sweep import threshold_sweep as tabulate

    experiment = tabulate(read_trials(trials), settings.thresholds)
    draw_threshold_sweep(experiment, output)
    write_experiment(experiment, output)


def prompt_ablation(trials: Trials, output: Output) -> None:
    """Make the table of the prompt ablation: points, boxes, and both (paper, Table 2)."""
    from apsam.experiments.figures import draw_bars
    from apsam.experiments.prompt_ablation import prompt_ablation as tabulate
    from apsam.experiments.results import read_trials
    from apsam.experiments.table import write_experiment

    experiment = tabulate(read_trials(trials))
    draw_bars(experiment, "iou", ("prompts",), output)
    write_experiment(experiment, output)


def everything_vs_apsam(
    scene: Annotated[list[str], typer.Option(help="name of a scene in the sheet; repeatable")],
    results: Annotated[Path, typer.Option(help="folder of the run, results/<run>")],
    scenes: Sheet,
    output: Output,
    settings: Settings = ExperimentSettings(),
    sam: Sam = SamSettings(),
    protocol: Protocol = HELD_OUT,
    data_dir: DataDir = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Compare full-image SAM with APSAM (paper, Fig. 4)."""
    from apsam.device import set_threads
    from apsam.experiments.everything import compare_everything, draw_everything
    from apsam.experiments.table import write_experiment

    set_threads(threads)
    files = [_scene_files(name, results, scenes, data_dir) for name in scene]
    experiment, compared = compare_everything(
        files, sam, settings.everything, settings.everything_tiles, protocol, device
    )
    draw_everything(compared, output)
    write_experiment(experiment, output)


def sam_size(
    output: Output,
    measured: Annotated[list[str] | None, typer.Option(help="NAME=metrics/pseudo_masks.json of that SAM")] = None,
    skipped: Annotated[list[str] | None, typer.Option(help="NAME=why that SAM is not run")] = None,
) -> None:
    """Make the table that compares SAMs."""
    from apsam.experiments.figures import draw_bars
    from apsam.experiments.table import write_experiment
    from apsam.experiments.variants import sam_size as tabulate

    files = {name: Path(path) for name, path in map(named, measured or [])}
    experiment = tabulate(files, dict(map(named, skipped or [])))
    draw_bars(experiment, "iou", ("sam",), output)
    write_experiment(experiment, output)


def seeds(
    output: Output,
    measured: Annotated[list[str], typer.Option(help="KIND:SEED=JSON of that seed; repeatable")],
) -> None:
    """Make the table of means and standard deviations over seeds."""
    from apsam.experiments.figures import draw_bars
    from apsam.experiments.table import write_experiment
    from apsam.experiments.variants import seeds as tabulate

    files: dict[str, dict[int, Path]] = {}
    for name, path in map(named, measured):
        kind, _, seed = name.partition(":")
        files.setdefault(kind, {})[int(seed)] = Path(path)
    experiment = tabulate(files)
    draw_bars(experiment, "iou", ("measured", "source", "prompts", "threshold"), output)
    write_experiment(experiment, output)


def released_effects(
    output: Output,
    measured: Annotated[list[str], typer.Option(help="CHOICE=metrics of APSAM's pseudo-masks; repeatable")],
) -> None:
    """Make the table with the effect of each choice of the released code."""
    from apsam.experiments.figures import draw_bars
    from apsam.experiments.released import released_effects as tabulate
    from apsam.experiments.table import write_experiment

    experiment = tabulate({name: Path(path) for name, path in map(named, measured)})
    draw_bars(experiment, "mean_iou", ("choice",), output)
    write_experiment(experiment, output)


def threshold_sweep_resunet(
    output: Output,
    measured: Annotated[list[str], typer.Option(help="THRESHOLD=metrics/resunet.json; repeatable")],
) -> None:
    """Make the table of ResUNets trained at every CAM threshold."""
    from apsam.experiments.figures import draw_bars
    from apsam.experiments.table import write_experiment
    from apsam.experiments.variants import retrained

    experiment = retrained({int(name): Path(path) for name, path in map(named, measured)})
    draw_bars(experiment, "iou", ("source", "threshold"), output)
    write_experiment(experiment, output)


def _scene_files(name: str, results: Path, sheet: Path, data_dir: Path | None) -> SceneFiles:
    from apsam.experiments.everything import SceneFiles
    from apsam.metrics.scene import measured_scene

    return SceneFiles(
        measured_scene(name, sheet, data_dir, results / "tiles", results / "scenes"),
        results / f"cams/{name}.zarr.zip",
        results / f"prompts/{name}.json",
        results / f"embeddings/{name}.zarr.zip",
        results / f"masks/apsam/{name}.zarr.zip",
    )
