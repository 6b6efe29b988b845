"""`apsam`: check the machine, map a scene with a trained run, show the configuration, run single stages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apsam import __version__
from apsam.commands.cams import cams
from apsam.commands.check import check
from apsam.commands.encode import encode
from apsam.commands.everything import everything
from apsam.commands.experiments import (
    everything_vs_apsam,
    prompt_ablation,
    released_effects,
    sam_size,
    seeds,
    threshold_sweep,
    threshold_sweep_resunet,
    trials,
)
from apsam.commands.grid import grid
from apsam.commands.ground import ground_labels, ground_masks, label_errors, resunet_scenes, views
from apsam.commands.heatmaps import (
    heatmap_factor,
    heatmap_masks,
    heatmap_network,
    heatmap_scene,
    heatmap_stack,
    heatmap_threshold,
    heatmap_tiles,
)
from apsam.commands.join import join_prompts, join_stacks
from apsam.commands.label import label
from apsam.commands.localizer import localizer
from apsam.commands.localizer_offline import localizer_offline
from apsam.commands.masks import masks_apsam, masks_cam, masks_grabcut
from apsam.commands.metrics import (
    metrics_checks,
    metrics_localizer,
    metrics_maps,
    metrics_masks,
    metrics_objects,
    metrics_summary,
)
from apsam.commands.predict import predict, predict_block, predict_join, predict_mask, predict_scene, predict_tiles
from apsam.commands.products import products
from apsam.commands.prompts import prompts
from apsam.commands.provenance import provenance
from apsam.commands.report import report
from apsam.commands.resunet import resunet
from apsam.commands.run import run_app
from apsam.commands.store import store_app
from apsam.commands.suggest import localizer_scores, map_scores, suggest, suggestions
from apsam.commands.synthesize import synthesize
from apsam.commands.tile import tile

STAGES = (
    synthesize,
    tile,
    label_errors,
    ground_labels,
    localizer_offline,
    localizer,
    cams,
    heatmap_network,
    heatmap_scene,
    heatmap_threshold,
    heatmap_factor,
    views,
    heatmap_stack,
    heatmap_tiles,
    encode,
    prompts,
    masks_apsam,
    masks_cam,
    masks_grabcut,
    ground_masks,
    heatmap_masks,
    join_stacks,
    join_prompts,
    resunet,
    resunet_scenes,
    predict_scene,
    predict_block,
    predict_join,
    predict_tiles,
    predict_mask,
    products,
    metrics_localizer,
    metrics_masks,
    metrics_maps,
    metrics_objects,
    metrics_checks,
    metrics_summary,
    localizer_scores,
    map_scores,
    suggestions,
    report,
)
EXPERIMENTS = (
    trials,
    threshold_sweep,
    threshold_sweep_resunet,
    prompt_ablation,
    everything_vs_apsam,
    sam_size,
    seeds,
    released_effects,
)
STAGES_PANEL = "Stages of the workflow, in the order of the data"
EXPERIMENTS_PANEL = "Experiments of the paper (targets of the workflow)"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Landslide maps from image-level labels.",
)
config_app = typer.Typer(no_args_is_help=True, help="The configuration: its keys, and a run's values.")
app.add_typer(config_app, name="config")
app.add_typer(store_app, name="store")

app.command()(check)
app.command()(predict)
app.command()(grid)
app.command()(label)
app.command()(suggest)
app.command()(everything)
app.command()(provenance)
for stage in STAGES:
    app.command(rich_help_panel=STAGES_PANEL)(stage)
for experiment in EXPERIMENTS:
    app.command(rich_help_panel=EXPERIMENTS_PANEL)(experiment)

ConfigFiles = Annotated[
    list[Path] | None,
    typer.Argument(
        help="configuration files, later ones override earlier ones; none: the defaults", show_default=False
    ),
]


@app.callback(invoke_without_command=True)
def top(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    """Landslide maps from image-level labels."""
    if version:
        print(f"apsam {__version__}")
        raise typer.Exit


@app.command()
def doctor() -> None:
    """Check versions, devices, weights and disk space; show what is missing and how to install it."""
    from apsam.doctor import examine

    styles = {"ok": "green", "note": "yellow", "missing": "bold red"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for column in ("state", "subject", "detail"):
        table.add_column(column, overflow="fold")
    missing = 0
    for finding in examine():
        missing += finding.state == "missing"
        detail = escape(finding.detail) + (f"\n[dim]{escape(finding.remedy)}[/dim]" if finding.remedy else "")
        table.add_row(f"[{styles[finding.state]}]{finding.state}[/]", finding.subject, detail)
    console = Console()
    console.print(table)
    if missing:
        console.print(f"[bold red]{missing} requirement(s) missing: the default run will not work.[/]")
        raise typer.Exit(1)
    console.print("Everything the default run needs is there.")


@config_app.command()
def schema() -> None:
    """Print the JSON schema of the configuration, for editors that complete and check YAML."""
    from apsam.config_file import json_schema

    print(json.dumps(json_schema(), indent=1))


@config_app.command()
def show(files: ConfigFiles = None) -> None:
    """Print the complete configuration of a run, every key with its description."""
    from apsam.config import read_config
    from apsam.config_file import render_config

    sys.stdout.write(render_config(read_config(*(files or []))))


def main() -> None:
    """Entry point of the `apsam` command."""
    run_app(app)
