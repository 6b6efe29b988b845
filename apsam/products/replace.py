"""Decide which files `apsam predict` may overwrite: its own; others only with `overwrite`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from apsam.errors import InputError
from apsam.maps.archive import ZIP_DATE
from apsam.products.files import ProductFiles

# Of `apsam.maps.cog.map_tags`: every map has it.
TAG = "APSAM_SCENE"


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


def _foreign(files: Sequence[Path]) -> Path | None:
    """Return the first existing file that apsam did not make; tags of maps identify them and their products."""
    there = [file for file in files if file.exists()]
    maps = [file for file in there if file.suffix in (".tif", ".zip")]
    not_ours = next((file for file in maps if not _is_ours(file)), None)
    return not_ours or (None if maps else next(iter(there), None))


def _is_ours(file: Path) -> bool:
    try:
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                return _all_masks(archive.infolist())
        with rasterio.open(file) as raster:
            return TAG in raster.tags()
    except (OSError, RasterioError, zipfile.BadZipFile):
        return False


def _all_masks(members: Iterable[zipfile.ZipInfo]) -> bool:
    return all(member.date_time == ZIP_DATE and member.filename.endswith(".png") for member in members)
