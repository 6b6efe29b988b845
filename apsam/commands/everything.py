"""Command of the full-image mode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Device, Threads
from apsam.commands.options import settings as section
from apsam.sam.settings import EverythingSettings, SamSettings


def everything(
    image: Annotated[Path, typer.Option(help="image of 8 bits a channel: PNG, JPEG, TIFF")],
    output: Annotated[Path, typer.Option(help="PNG of 16 bits to make: 0 nothing, then a number for each object")],
    settings: Annotated[
        EverythingSettings, section(EverythingSettings, "experiments.everything")
    ] = EverythingSettings(),
    sam: Annotated[SamSettings, section(SamSettings, "sam")] = SamSettings(),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Segment every object of one image with SAM, prompted by a grid of points (paper, Fig. 4)."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from apsam.device import set_threads
    from apsam.errors import InputError
    from apsam.files import atomic_path
    from apsam.sam.everything import segment_everything
    from apsam.sam.registry import build_sam

    set_threads(threads)
    try:
        with Image.open(image) as picture:
            if picture.mode.startswith(("I", "F")):
                raise InputError(
                    f"{image}: has more than 8 bits a channel (mode {picture.mode}), which would be cut off at 255; "
                    f"convert it: gdal_translate -ot Byte -scale LOW HIGH 0 255 {image} NEW.png"
                )
            pixels = np.array(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{image}: not an image that can be read ({error})") from error
    loaded = build_sam(sam, device=device)
    found = segment_everything(loaded, pixels.transpose(2, 0, 1), settings, sam.precision, sam.channels)
    with atomic_path(output) as partial:
        Image.fromarray(found.labels.astype(np.uint16)).save(partial, format="PNG")
    print(f"{output}: {len(found.iou)} objects on {(found.labels > 0).mean():.0%} of the image")
