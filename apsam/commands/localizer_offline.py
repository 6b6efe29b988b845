"""Command of the stage that makes the files that some localization methods need before their training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Device, Seed, Threads
from apsam.commands.options import settings as section
from apsam.localizer.settings import LocalizerSettings
from apsam.sam.settings import SamSettings


def localizer_offline(
    tiles: Annotated[list[Path], typer.Argument(help="tile stacks of all scenes, in the order the training gets them")],
    output: Annotated[Path, typer.Option(help="file to make: superpixels, cut-outs, segments or a classifier")],
    settings: Annotated[LocalizerSettings, section(LocalizerSettings, "localizer")] = LocalizerSettings(),
    sam: Annotated[SamSettings, section(SamSettings, "sam")] = SamSettings(),
    seed: Seed = 1,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Make the files that the localizer's method needs before its training (cda, cpn, oc_cse, s2c)."""
    from apsam.device import set_threads
    from apsam.localizer.offline.stage import make_offline

    set_threads(threads)
    make_offline(tiles, settings, output, sam, seed, device)
