"""Command of the stage that trains the ResUNet."""

from __future__ import annotations

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
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train the ResUNet on pseudo-masks."""
    from apsam.device import set_threads
    from apsam.resunet.train import train_resunet

    set_threads(threads)
    half = len(pairs) // 2
    train_resunet(pairs[:half], pairs[half:], settings, output, history, seed, device)
