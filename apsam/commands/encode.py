"""Command of the stage that runs SAM's image encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Device, LabelGate, Threads, Tiles
from apsam.commands.options import settings as section
from apsam.sam.settings import SamSettings


def encode(
    tiles: Tiles,
    output: Annotated[Path, typer.Option(help="embedding stack to make")],
    settings: Annotated[SamSettings, section(SamSettings, "sam")] = SamSettings(),
    label_gate: LabelGate = True,
    image: Annotated[Path | None, typer.Option(help="the scene's raster, for sam.window")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Encode the positive tiles of a scene with SAM's image encoder."""
    from apsam.device import set_threads
    from apsam.sam.encode_scene import encode_scene

    set_threads(threads)
    encode_scene(tiles, output, settings, device, label_gate=label_gate, image=image)
