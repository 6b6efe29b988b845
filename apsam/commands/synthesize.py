"""Command of the stage that makes synthetic scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import settings as section
from apsam.synthetic.settings import SyntheticSettings


def synthesize(
    scene: Annotated[str, typer.Option(help="name of the scene; seeds it together with the section's seed")],
    image: Annotated[Path, typer.Option(help="GeoTIFF of the image to make")],
    mask: Annotated[Path, typer.Option(help="GeoTIFF of the reference mask to make")],
    settings: Annotated[SyntheticSettings, section(SyntheticSettings, "synthetic")] = SyntheticSettings(),
) -> None:
    """Make one synthetic scene: an RGB image and the mask of its landslides."""
    from apsam.synthetic.scene import make_scene, write_scene

    write_scene(make_scene(scene, settings), image, mask)
