"""Command of the stage that trains the ResUNet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Device, Seed, Threads
from apsam.commands.options import settings as section
from apsam.resunet.settings import ResUNetSettings


def resunet(
    pairs: Annotated[list[Path], typer.Argument(help="tile stacks, then their mask stacks in the same order")],
    output: Annotated[Path, typer.Option(help="weights to make, .safetensors")],
    history: Annotated[Path, typer.Option(help="history of the training to make, .json")],
    settings: Annotated[ResUNetSettings, section(ResUNetSettings, "resunet")] = ResUNetSettings(),
    seed: Seed = 1,
    scenes: Annotated[Path | None, typer.Option(help="scene sheet, for resunet.keep: best_on_labels")] = None,
    synthetic: Annotated[Path, typer.Option(help="folder of the synthetic scenes, likewise")] = Path("scenes"),
    data_dir: Annotated[Path | None, typer.Option(help="folder that the sheet's paths start from, likewise")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train the ResUNet on pseudo-masks."""
    from apsam.device import set_threads
    from apsam.metrics.scene import measured_scenes
    from apsam.resunet.train import train_resunet

    set_threads(threads)
    half = len(pairs) // 2
    reference = measured_scenes(scenes, data_dir, pairs[0].parent, synthetic) if scenes else []
    # Each stack has a folder of its own in the store; `measured_scenes` looks for all of them in that of the first.
    given = {path.name: path for path in pairs[:half]}
    reference = [replace(one, tiles=given[one.tiles.name]) for one in reference if one.tiles.name in given]
    train_resunet(pairs[:half], pairs[half:], settings, output, history, seed, device, reference)
