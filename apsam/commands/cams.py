"""Command of the stage that makes class activation maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Device, Ground, LabelGate, Threads, Tiles
from apsam.commands.options import settings as section
from apsam.localizer.settings import CamSettings


def cams(
    tiles: Tiles,
    weights: Annotated[Path, typer.Option(help="weights of the localizer")],
    output: Annotated[Path, typer.Option(help="CAM stack to make")],
    settings: Annotated[CamSettings, section(CamSettings, "cams")] = CamSettings(),
    label_gate: LabelGate = True,
    ground: Ground = None,
    image: Annotated[Path | None, typer.Option(help="the scene's raster, for cams.context")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Make the class activation maps of a scene's positive tiles."""
    from apsam.device import set_threads
    from apsam.localizer.cam import make_cams

    set_threads(threads)
    make_cams(tiles, weights, output, settings, device, label_gate, ground, image)
