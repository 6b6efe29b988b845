"""Command of the stage that makes the final products of a map."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import settings as section
from apsam.products.settings import ProductSettings


def products(
    name: Annotated[str, typer.Option(help="name of the scene")],
    probability: Annotated[Path, typer.Option(help="probability map of the scene")],
    mask: Annotated[Path, typer.Option(help="mask map of the scene")],
    geopackage: Annotated[Path, typer.Option(help="GeoPackage to make; .qgs, .stac.json and styles go next to it")],
    image: Annotated[Path | None, typer.Option(help="the scene, of which the QGIS project shows a copy")] = None,
    tiles: Annotated[list[Path] | None, typer.Option(help="tile stacks of the scene")] = None,
    prompts: Annotated[list[Path] | None, typer.Option(help="prompts, a file a tile stack")] = None,
    masks: Annotated[list[Path] | None, typer.Option(help="APSAM's mask stacks, with the selected thresholds")] = None,
    date: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="when the image was taken")] = None,
    dem: Annotated[Path | None, typer.Option(help="raster of elevations, for slopes")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="reference mask, for the layer `reference` and the column `match`")
    ] = None,
    mask_values: Annotated[str | None, typer.Option(help="what its values mean, where they are ambiguous")] = None,
    settings: Annotated[ProductSettings, section(ProductSettings, "products")] = ProductSettings(),
) -> None:
    """Make polygons, styles, a QGIS project and a STAC item of a scene's maps."""
    from apsam.products.files import ProductFiles
    from apsam.products.make import make_products

    files = ProductFiles(probability, mask, geopackage)
    taken = date.date() if date else None
    settings = settings.model_copy(update={"dem": dem or settings.dem})
    given = (tiles or [], prompts or [], masks or [], taken)
    found = make_products(files, settings, name, image, *given, reference=reference, mask_values=mask_values or None)
    print(f"{geopackage}: {found} landslides")
