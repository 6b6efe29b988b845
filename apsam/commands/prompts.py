"""Command of the prompt stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import Cams, Tiles
from apsam.commands.options import settings as section
from apsam.prompts.settings import PromptSettings


def prompts(
    tiles: Tiles,
    cams: Cams,
    output: Annotated[Path, typer.Option(help="JSON file to make")],
    geojson: Annotated[Path, typer.Option(help="the same on the map: GeoJSON file to make")],
    settings: Annotated[PromptSettings, section(PromptSettings, "prompts")] = PromptSettings(),
) -> None:
    """Make box and point prompts of a scene's CAMs."""
    from apsam.prompts.files import make_prompts, read_prompts, write_prompts_geojson

    make_prompts(cams, settings, output)
    write_prompts_geojson(read_prompts(output), tiles, geojson)
