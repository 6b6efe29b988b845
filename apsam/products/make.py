"""All products of one scene's maps."""

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
from apsam.products.place import north_up
from apsam.products.qgis import ProjectLayer, write_project
from apsam.products.settings import ProductSettings
from apsam.products.stac import date_of, write_item
from apsam.products.styles import VECTOR_STYLES, mask_style, probability_style, write_qml
from apsam.stack import TileStack
from apsam.tiles.settings import TileSettings
from apsam.writing import raster_problem

# Layers that show when a project opens; the others are there to be switched on.
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
    """Write GeoPackage, styles, QGIS project and STAC item of a scene whose maps are there.

    Args:
        files: The maps, and where the products go.
        settings: What becomes a polygon; `dem` as a path that can be opened.
        name: Of the scene.
        image: The scene, of which the project shows a copy below the maps.
        tiles, prompts, masks: Stacks and prompt files of the scene or of its blocks, for the layers that say how the
            map came about; none for a scene that was only mapped.
        taken: Date of the image; without one, that in its metadata.
        tile_settings: How the scene is read; as for `tiles`, or by default, without.
        reference: Reference mask, where there is one: landslides then say whether they are there, and a layer of the
            mask's landslides whether they were found. Needs `image`.
        mask_values: What its values mean.

    Returns:
        Number of landslides.

    Raises:
        InputError: The maps or the elevations cannot be used.
    """
    for path in (files.mask, files.probability):
        # GDAL makes polygons of what it can read of a damaged file, and says nothing.
        if problem := raster_problem(path):
            raise InputError(f"{path}: not a map that can be read ({problem}); predict again")
    try:
        with rasterio.open(files.mask) as raster:
            crs, bounds = CRS.from_user_input(raster.crs.to_wkt()), tuple(north_up(raster.bounds))
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
    """From the top down: points, boxes, reference, landslides, tiles, mask, probability, image."""
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
    """How a scene was read when its tiles were cut."""
    if not tiles:
        return TileSettings()
    with TileStack(tiles[0]) as stack:
        return TileSettings(**stack.attributes["made_by"]["tiles"])
