"""Command of the stage that trains the localizer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Device, Seed, Threads
from apsam.commands.options import settings as section
from apsam.localizer.settings import LocalizerSettings


def localizer(
    tiles: Annotated[list[Path], typer.Argument(help="tile stacks of the scenes for training")],
    output: Annotated[Path, typer.Option(help="weights to make, .safetensors")],
    history: Annotated[Path, typer.Option(help="history of the training to make, .json")],
    settings: Annotated[LocalizerSettings, section(LocalizerSettings, "localizer")] = LocalizerSettings(),
    seed: Seed = 1,
    device: Device = "auto",
    threads: Threads = None,
    offline: Annotated[Path | None, typer.Option(help="what localizer-offline made, for methods that need it")] = None,
) -> None:
    """Train the localizer on image-level labels."""
    from apsam.device import set_threads
    from apsam.localizer.train import train_localizer

    set_threads(threads)
    train_localizer(tiles, settings, output, history, seed, device, offline)
