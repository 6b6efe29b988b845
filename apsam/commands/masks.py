"""Commands of the mask stage: three kinds of pseudo-masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Cams, Device, Ground, Prompts, Threads, Tiles
from apsam.commands.options import settings as section
from apsam.masks.settings import CamMaskSettings, GrabCutSettings
from apsam.sam.settings import MasksSettings, SamSettings

Output = Annotated[Path, typer.Option(help="mask stack to make")]


def masks_apsam(
    tiles: Tiles,
    cams: Cams,
    prompts: Prompts,
    embeddings: Annotated[Path, typer.Option(help="embedding stack of the scene")],
    output: Output,
    settings: Annotated[MasksSettings, section(MasksSettings, "masks")] = MasksSettings(),
    sam: Annotated[SamSettings, section(SamSettings, "sam")] = SamSettings(),
    ground: Ground = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Make pseudo-masks of a scene with SAM and the prompts of its CAMs."""
    from apsam.device import set_threads
    from apsam.masks.prompted import make_prompted_masks

    set_threads(threads)
    make_prompted_masks(tiles, cams, prompts, embeddings, sam, settings, output, device, ground)


def masks_cam(
    tiles: Tiles,
    cams: Cams,
    output: Output,
    settings: Annotated[CamMaskSettings, section(CamMaskSettings, "cam_masks")] = CamMaskSettings(),
    ground: Ground = None,
) -> None:
    """Make pseudo-masks by thresholding a scene's CAMs (baseline)."""
    from apsam.masks.thresholded import make_cam_masks

    make_cam_masks(tiles, cams, settings, output, ground)


def masks_grabcut(
    tiles: Tiles,
    prompts: Prompts,
    output: Output,
    settings: Annotated[GrabCutSettings, section(GrabCutSettings, "grabcut")] = GrabCutSettings(),
    ground: Ground = None,
) -> None:
    """Make pseudo-masks by GrabCut with SAM's prompts (baseline without learned weights)."""
    from apsam.masks.grabcut import make_grabcut_masks

    make_grabcut_masks(tiles, prompts, settings, output, ground)
