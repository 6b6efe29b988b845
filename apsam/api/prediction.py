"""Map scenes with a trained ResUNet; used by `apsam predict` and `Model.predict`."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from apsam.errors import InputError, OutputError
from apsam.extras import MissingExtra, naming_extras
from apsam.files import scratch_folder
from apsam.maps.model import MapModel, scene_to_map
from apsam.products.files import ProductFiles
from apsam.products.replace import check_outputs, product_paths, replace_maps
from apsam.tiles.settings import TileSettings

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

log = logging.getLogger(__name__)

LANDSLIDES = "landslides"  # layer of the GeoPackage

# The configuration of a run below results/<run>/.
RECORD = ("report", "config.yaml")


@dataclass(frozen=True)
class Prediction:
    """The output files of one mapped scene; None for files that were not made.

    Attributes:
        scene: The mapped raster, or folder of ready-made tiles.
        probability: Cloud-Optimized GeoTIFF of the landslide probability: uint8 in steps of 1/250, 255 no data.
        mask: Cloud-Optimized GeoTIFF {0, 1}, 255 no data.
        geopackage: Landslide polygons with area, perimeter and probability (extra `maps`).
        project: QGIS project that shows all of them (extra `maps`).
        archive: For a folder of ready-made tiles: zip with a PNG mask of each.
        landslides: Number of polygons; None without the GeoPackage.
    """

    scene: Path
    probability: Path | None = None
    mask: Path | None = None
    geopackage: Path | None = None
    project: Path | None = None
    archive: Path | None = None
    landslides: int | None = None

    @property
    def polygons(self) -> GeoDataFrame:
        """The landslides as a GeoDataFrame in the scene's CRS, one row per landslide.

        Raises:
            InputError: The scene was a folder of ready-made tiles, which are not georeferenced.
            MissingExtra: geopandas is not installed, or was not when the scene was mapped.
        """
        if self.archive is not None:
            raise InputError(f"{self.scene}: ready-made tiles have no polygons; their masks are {self.archive}")
        with naming_extras():
            import geopandas as gpd
        if self.geopackage is None:
            raise MissingExtra(f"{self.scene}: was mapped without polygons; install 'apsam[maps]' and predict again")
        return gpd.read_file(self.geopackage, layer=LANDSLIDES)


def map_scenes(
    model: MapModel,
    scenes: Sequence[Path],
    output: Path,
    resample: bool | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> Iterator[Prediction]:
    """Map scenes one after the other, after the output paths of all have been checked.

    Args:
        model: A trained ResUNet and the settings of maps.
        scenes: Rasters, or folders of ready-made tiles.
        output: Folder for the files.
        resample: True: interpolate rasters that are coarser than in training; False: map finer ones as they are;
            None: read finer ones at the training's ground resolution, coarser ones as they are.
        overwrite: Also replace files that apsam did not make.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Yields:
        The files of each scene, as soon as they are written.

    Raises:
        InputError: A scene, the weights or the elevations (`products.dem`) cannot be used, or an output path is a file
            that apsam did not make.
    """
    missing = next((scene for scene in scenes if not scene.exists()), None)
    if missing is not None:
        raise InputError(f"{missing}: no such raster or folder of tiles")
    planned = {scene: _planned(scene, output) for scene in scenes}
    paths = {scene: product_paths(to) if isinstance(to, ProductFiles) else [to] for scene, to in planned.items()}
    check_outputs(paths, overwrite)
    if any(isinstance(to, ProductFiles) for to in planned.values()) and _has_products():
        model = _with_elevations(model)
    return (_map_scene(model, scene, to, resample, device) for scene, to in planned.items())


def _planned(scene: Path, output: Path) -> ProductFiles | Path:
    """Return the output paths for a raster, or the archive for a folder of tiles."""
    if scene.is_dir():
        return output / f"{scene.resolve().name}.zip"
    return ProductFiles(*(output / (scene.stem + end) for end in ("_probability.tif", "_mask.tif", ".gpkg")))


def _has_products() -> bool:
    """Whether polygons and a QGIS project are made, besides the maps."""
    return importlib.util.find_spec("geopandas") is not None


def _with_elevations(model: MapModel) -> MapModel:
    """Return the model with a path of elevations that can be opened, so that an error comes before the maps are made.

    The configuration in a report (`results/<run>/report/config.yaml`) has paths that start in the folder of its
    project, and mapping may run in any other folder.
    """
    from apsam.products.elevations import open_elevations

    dem = model.products.dem
    if dem is None:
        return model
    record = model.elevations_from
    if record is not None and not dem.is_absolute() and record.parts[-2:] == RECORD:
        # A run that is mounted at the root of a container has no such folder.
        projects = [folder / dem for folder in record.absolute().parents[3:4]]
        dem = next((path for path in (*projects, dem) if path.is_file()), dem)
    if not dem.is_file():
        raise InputError(
            f"{dem}: no such raster of elevations ('products.dem' of {record or model.source}); put it there, or map "
            f"with a configuration that names another one, or 'dem: null'"
        )
    raster, _ = open_elevations(dem)
    raster.close()
    return replace(model, products=model.products.model_copy(update={"dem": dem}))


def _map_scene(model: MapModel, scene: Path, to: ProductFiles | Path, resample: bool | None, device: str) -> Prediction:
    # Imported here, because importing torch takes a second.
    from apsam.resunet.predict import predict_folder

    if isinstance(to, Path):
        predict_folder(scene, model.weights, model.tiles, model.maps, to, device)
        return Prediction(scene, archive=to)
    with scene_to_map(scene, model, resample, to.probability) as (image, tiles, note):
        if note is not None:
            log.info(note)
        _predict(image, model, tiles, to, device, scene)
    if not _has_products():
        log.warning("%s: no polygons and no QGIS project, which need geopandas: pip install 'apsam[maps]'", scene)
        return Prediction(scene, to.probability, to.mask)
    from apsam.products.make import make_products

    count = make_products(to, model.products, scene.stem, scene, tile_settings=model.tiles)
    return Prediction(scene, to.probability, to.mask, to.geopackage, to.project, landslides=count)


def _predict(image: Path, model: MapModel, tiles: TileSettings, to: ProductFiles, device: str, scene: Path) -> None:
    """Write probability and mask of a raster; `image` is the scene, or a virtual raster of it.

    Both are replaced when both are complete, so that a mask and a probability of two predictions are never together
    (unless two processes map the same scene into the same folder at the same time).
    """
    from apsam.maps.decision import write_decided_mask
    from apsam.resunet.predict import predict_raster

    with scratch_folder(to.mask, "maps") as folder:
        probability, mask = folder / to.probability.name, folder / to.mask.name
        at_threshold = mask if model.decision == "threshold" else folder / "threshold.tif"
        try:
            predict_raster(
                image, model.weights, tiles, model.maps, probability, at_threshold, device, scene.stem, source=scene
            )
            if model.decision != "threshold":
                write_decided_mask(probability, mask)
        except OutputError as error:
            raise OutputError(str(error).replace(str(folder), str(to.mask.parent))) from error
        replace_maps({probability: to.probability, mask: to.mask}, to)
