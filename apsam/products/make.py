"""Make all products of one scene's maps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import rasterio
from pyproj import CRS
from rasterio.errors import RasterioError

from apsam.errors import InputError
from apsam.products.files import ProductFiles
from apsam.products.geopackage import GEOMETRY_TYPES, write_geopackage
from apsam.products.landslides import vectorise
from apsam.products.layers import prompt_layers, tile_layer
from apsam.products.matching import match_reference
from apsam.products.picture import write_picture
from apsam.products.qgis import ProjectLayer, write_project
from apsam.products.settings import ProductSettings
from apsam.products.stac import date_of, write_item
from apsam.products.styles import VECTOR_STYLES, mask_style, probability_style, write_qml
from apsam.stack import TileStack
from apsam.tiles.georeference import raster_bounds
from apsam.tiles.settings import TileSettings
from apsam.writing import raster_problem

# Layers that are visible when a project opens.
SHOWN = ("landslides", "image")


def make_products(
    files: ProductFiles,
    settings: ProductSettings,
    name: str,
    image: Path | None = None,
    tiles: Sequence[Path] = (),
    prompts: Sequence[Path] = (),
    masks: Sequence[Path] = (),
    taken: date | None = None,
    tile_settings: TileSettings | None = None,
    reference: Path | None = None,
    mask_values: str | None = None,
) -> int:
    """Write GeoPackage, styles, QGIS project and STAC item of a scene, from its maps.

    Args:
        files: The maps, and the folder of the products.
        settings: Settings of polygons; `dem` as a path that can be opened.
        name: Of the scene.
        image: The scene; the project has a copy of it below the maps.
        tiles, prompts, masks: Stacks and prompt files of the scene or of its blocks, for the layers that explain
            the map; empty for a scene that was only mapped.
        taken: Date of the image; without one, that in its metadata.
        tile_settings: Settings of reading the scene without `tiles`.
        reference: Reference mask, if there is one: landslides are then matched with it, and there is a layer of
            the mask's landslides that were found or missed. Needs `image`.
        mask_values: Meaning of its values.

    Returns:
        Number of landslides.

    Raises:
        InputError: The maps or the elevations cannot be used.
    """
    for path in (files.mask, files.probability):
        # GDAL silently polygonizes the readable part of a damaged file.
        if problem := raster_problem(path):
            raise InputError(f"{path}: not a map that can be read ({problem}); predict again")
    try:
        with rasterio.open(files.mask) as raster:
            crs, bounds = CRS.from_user_input(raster.crs.to_wkt()), raster_bounds(raster)
            model = raster.tags().get("APSAM_MODEL", "")
        landslides = vectorise(files.mask, files.probability, settings, name, model, settings.dem)
    except RasterioError as error:
        raise InputError(
            f"{files.mask} or {files.probability.name}: cannot be read ({error}); predict again"
        ) from error
    layers = {"landslides": landslides}
    settings_of_tiles = tile_settings or _tile_settings(tiles)
    if reference is not None and image is not None:
        layers["landslides"], layers["reference"] = match_reference(
            landslides, files.mask, reference, image, settings_of_tiles, name, files.geopackage, settings.min_area_m2,
            mask_values,
        )  # fmt: skip
    if tiles and prompts:
        layers |= prompt_layers(tiles, prompts, masks)
    if tiles:
        layers["tiles"] = tile_layer(tiles)
    write_geopackage(files.geopackage, layers)
    for path, style in zip(files.styles, (probability_style(), mask_style()), strict=True):
        write_qml(path, style)
    if image is not None:
        write_picture(image, settings_of_tiles, files.picture, name)
    write_project(files.project, f"Landslides of {name}", _project_layers(files, list(layers), image), crs, bounds)
    taken = taken or date_of(image)
    write_item(files.item, name, files.probability, files.mask, files.geopackage, files.project, taken)
    return len(landslides)


def _project_layers(files: ProductFiles, vectors: Sequence[str], image: Path | None) -> list[ProjectLayer]:
    """Return layers from the top down: points, boxes, reference, landslides, tiles, mask, probability, image."""
    order = [name for name in ("prompt_points", "prompt_boxes", "reference", "landslides", "tiles") if name in vectors]
    layers = [
        ProjectLayer(
            name, VECTOR_STYLES[name][0], files.geopackage, name, VECTOR_STYLES[name][1],
            GEOMETRY_TYPES[name].removeprefix("Multi"), name in SHOWN,
        )
        for name in order
    ]  # fmt: skip
    layers.append(ProjectLayer("mask", "Landslide mask", f"./{files.mask.name}", style=mask_style(), on=False))
    layers.append(
        ProjectLayer(
            "probability", "Landslide probability", f"./{files.probability.name}", style=probability_style(), on=False
        )
    )
    if image is not None:
        layers.append(ProjectLayer("image", "Image", f"./{files.picture.name}"))
    return layers


def _tile_settings(tiles: Sequence[Path]) -> TileSettings:
    """Return the tile settings recorded in a scene's tiles."""
    if not tiles:
        return TileSettings()
    with TileStack(tiles[0]) as stack:
        return TileSettings(**stack.attributes["made_by"]["tiles"])
