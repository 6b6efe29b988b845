"""Decide which files `apsam predict` may overwrite (its own; others only with `overwrite`), and replace its maps."""

from __future__ import annotations

import json
import os
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from apsam.errors import InputError
from apsam.maps.archive import ZIP_DATE
from apsam.products.files import ProductFiles
from apsam.products.qgis import LAYER_ID
from apsam.products.stac import SOFTWARE
from apsam.writing import writing

# Of `apsam.maps.cog.map_tags`: every map has it.
TAG = "APSAM_SCENE"
# Of `apsam.products.landslides`: some columns of the layer `landslides` of every GeoPackage.
COLUMNS = {"area_m2", "perimeter_m", "mean_probability", "max_probability", "n_holes", "model"}


def check_outputs(planned: Mapping[Path, Sequence[Path]], overwrite: bool = False) -> None:
    """Make sure that outputs replace neither an input, nor each other, nor files that apsam did not make.

    Args:
        planned: Input -> the files to make of it.
        overwrite: Also replace files that apsam did not make.

    Raises:
        InputError: Two inputs have the same output, or an output exists and may not be replaced.
    """
    inputs = {scene.resolve() for scene in planned}
    makers: dict[Path, Path] = {}
    for scene, files in planned.items():
        for file in files:
            if file.resolve() in inputs:
                raise InputError(f"{file}: is to be mapped, and a map of {scene} would replace it; choose another -o")
            other = makers.setdefault(file.resolve(), scene)
            if other != scene:
                raise InputError(
                    f"{other} and {scene}: their maps would have the same names ({file.name}); map them into two "
                    f"folders, or rename one"
                )
        foreign = None if overwrite else _foreign(files)
        if foreign is not None:
            raise InputError(
                f"{foreign}: already exists and was not made by apsam; choose another -o, or replace it with "
                f"--overwrite"
            )


def product_paths(files: ProductFiles) -> list[Path]:
    """Return all files written by `make_products` and by the prediction before it."""
    return [files.probability, files.mask, files.geopackage, files.project, files.item, files.picture, *files.styles]


def replace_maps(made: Mapping[Path, Path], files: ProductFiles) -> None:
    """Move both maps of a scene to their paths, and remove earlier maps and what was made of them.

    Earlier files are removed first: if the process is killed in between, files are missing, but no file is of another
    prediction than the others.

    Args:
        made: Complete file -> its path, on the same file system.
        files: Maps and products of the scene.

    Raises:
        OutputError: A file cannot be removed or moved.
    """
    with writing(files.geopackage):
        # Maps last: by them, `check_outputs` knows that what is left is apsam's.
        for path in (files.project, files.item, files.geopackage, files.picture, *files.styles, *made.values()):
            path.unlink(missing_ok=True)
        for complete, path in made.items():
            os.replace(complete, path)


def _foreign(files: Sequence[Path]) -> Path | None:
    """Return the first existing file that apsam did not make.

    Products look like those of apsam and are next to a map of apsam; without a map, they count as the user's.
    """
    there = [file for file in files if file.exists()]
    not_ours = next((file for file in there if file.suffix in MARKS and not _is_ours(file)), None)
    has_map = any(file.suffix in (".tif", ".zip") for file in there)
    return not_ours or (None if has_map else next(iter(there), None))


def _is_ours(file: Path) -> bool:
    try:
        return MARKS[file.suffix](file)
    except (OSError, ValueError, RasterioError, sqlite3.Error, zipfile.BadZipFile):
        return False


def _is_map(file: Path) -> bool:
    with rasterio.open(file) as raster:
        return TAG in raster.tags()


def _is_archive(file: Path) -> bool:
    with zipfile.ZipFile(file) as archive:
        return _all_masks(archive.infolist())


def _is_geopackage(file: Path) -> bool:
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return COLUMNS <= {row[1] for row in database.execute("PRAGMA table_info(landslides)")}


def _is_project(file: Path) -> bool:
    return LAYER_ID in file.read_text(encoding="utf-8")


def _is_item(file: Path) -> bool:
    item = json.loads(file.read_text(encoding="utf-8"))
    properties = item.get("properties") if isinstance(item, dict) else None
    software = properties.get(SOFTWARE) if isinstance(properties, dict) else None
    return isinstance(software, dict) and "apsam" in software


def _all_masks(members: Iterable[zipfile.ZipInfo]) -> bool:
    return all(member.date_time == ZIP_DATE and member.filename.endswith(".png") for member in members)


# Suffix -> whether a file was made by apsam.
MARKS: dict[str, Callable[[Path], bool]] = {
    ".tif": _is_map,
    ".zip": _is_archive,
    ".gpkg": _is_geopackage,
    ".qgs": _is_project,
    ".json": _is_item,
}
