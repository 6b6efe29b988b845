"""Write the tiles of a scene as polygons for labelling in QGIS, or as a table, with existing labels filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import pandas as pd

from apsam.errors import InputError
from apsam.files import read_text
from apsam.labelling.existing import LEFT_OUT, ExistingLabels, ExistingRules, as_column, read_existing
from apsam.labelling.qgis_grid import COLUMNS, grid_document, grid_style
from apsam.labelling.scene_tiles import SceneTiles, count_valid, folder_tiles, raster_tiles
from apsam.labelling.tables import find_grid_layer, write_table
from apsam.products.geopackage import write_geopackage
from apsam.products.qgis import ProjectLayer, write_project
from apsam.tiles.labels import LABEL_COLUMNS, NAME_COLUMNS, find_column
from apsam.tiles.outlines import outlines
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings
from apsam.vectors.layers import split_layer

LAYER = "tiles"


@dataclass(frozen=True)
class MadeGrid:
    """Result of writing a grid.

    Attributes:
        tiles: Number of candidate tiles, including those without data, because the workflow needs a row for each.
        left_out: Number of those that the run leaves out (`tiles.min_valid`).
        project: The QGIS project; None if none was made.
        lines: Summary of existing labels for the user.
    """

    tiles: int
    left_out: int
    project: Path | None
    lines: Sequence[str]


def write_grid(
    image: Path,
    settings: TileSettings,
    output: Path,
    overwrite: bool = False,
    labels: Path | None = None,
    rules: ExistingRules | None = None,
    name: str | None = None,
) -> MadeGrid:
    """Write the tile grid of a scene.

    Args:
        image: Raster; for a table also a folder of ready-made tiles.
        settings: Tile size and overlap, those of the run.
        output: `.gpkg`: polygons with label, number in the run, and a QGIS project of the same name next to it.
            `.csv`: the columns scene, grid, tile, label. A scene sheet's `labels` accepts both.
        overwrite: Replace an existing grid.
        labels: Existing labels to fill in: points, polygons, a table, another grid.
        rules: Rules for a layer of landslides.
        name: Name of the scene; by default that of the file.

    Raises:
        InputError: The scene or its labels cannot be used, or the output exists or is of another kind.
    """
    suffix = output.suffix.lower()
    if suffix not in (".gpkg", ".csv"):
        raise InputError(f"{output}: a grid is written as .gpkg or .csv")
    if image.is_dir() and suffix != ".csv":
        raise InputError(f"{output}: ready-made tiles are not georeferenced; write their table as .csv")
    _check_replaceable(output, overwrite, [image] if labels is None else [image, split_layer(labels)[0]])
    with ExitStack() as opened:
        if image.is_dir():
            tiles = folder_tiles(image, name)
        else:
            reader = opened.enter_context(SceneReader(image, settings))
            tiles = raster_tiles(reader, settings, name)
            count_valid(reader, tiles, settings.min_valid)
        existing = ExistingLabels.nothing(len(tiles.names)) if labels is None else read_existing(labels, tiles, rules)
    project = None
    if suffix == ".csv":
        write_table(output, tiles.identity, tiles.names, existing.label.tolist())
    else:
        write_geopackage(output, {LAYER: grid_layer(tiles, existing)}, {LAYER: grid_document(_spot(tiles))})
        project = output.with_suffix(".qgs")
        write_grid_project(project, output, tiles)
    lines = existing.summary(tiles.counted) if labels is not None else []
    return MadeGrid(len(tiles.names), int((~tiles.counted).sum()), project, lines)


def _check_replaceable(output: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    if output.exists() and not overwrite:
        raise InputError(
            f"{output}: already exists, and labels filled in there would be lost; name another file, replace it with "
            f"--overwrite, or add labels to it: apsam label --add"
        )
    if output.exists() and not _is_grid(output):
        used = " and read here" if output.resolve() in [path.resolve() for path in inputs] else ""
        raise InputError(f"{output}: is no tile grid or label table{used}, so it is not replaced; name another file")
    if output.suffix.lower() == ".csv":
        return
    project = output.with_suffix(".qgs")
    if project.exists() and not overwrite:
        raise InputError(f"{project}: already exists; name another grid, or replace the project with --overwrite")
    # While a program has a database open, SQLite keeps the latest changes in a file next to it.
    if output.with_name(f"{output.name}-wal").exists():
        raise InputError(
            f"{output}: another program has it open (there is a {output.name}-wal); close it in QGIS first"
        )


def _is_grid(path: Path) -> bool:
    """Whether a file that exists is a tile grid or a label table by its columns; its labels may be faulty."""
    if path.suffix.lower() == ".csv":
        header = read_text(path).partition("\n")[0].strip()
        columns = [cell.strip(' "') for cell in re.split(r"[,;\t]", header)]
        return not header or all(find_column(columns, names) for names in (NAME_COLUMNS, LABEL_COLUMNS))
    try:
        return find_grid_layer(path) is not None
    except InputError:
        return False


def grid_layer(tiles: SceneTiles, existing: ExistingLabels) -> gpd.GeoDataFrame:
    """Return the tiles of a raster as polygons, with the columns of QGIS's form."""
    counted = tiles.counted
    why = [text if kept else LEFT_OUT for text, kept in zip(existing.why(), counted, strict=True)]
    columns = {
        "number": pd.array(tiles.numbers(), dtype="Int32"),
        "tile": tiles.names,
        "label": as_column(existing.label),
        "doubtful": existing.doubtful & counted,
        "why": why,
        "scene": tiles.identity.scene,
        "grid": tiles.identity.text,
    }
    assert tiles.transform is not None
    polygons = outlines(tiles.transform, tiles.windows)
    return gpd.GeoDataFrame(columns, columns=list(COLUMNS), geometry=polygons, crs=tiles.crs)


def write_grid_project(project: Path, grid: Path, tiles: SceneTiles) -> None:
    """Write a QGIS project with the grid over its scene; paths in it are relative."""
    assert tiles.crs is not None and tiles.transform is not None
    whole = outlines(tiles.transform, [(0, 0, tiles.height, tiles.width)])[0]
    layers = [
        ProjectLayer("tiles", "Tiles to label", grid, LAYER, grid_style(_spot(tiles))),
        ProjectLayer("image", tiles.name, tiles.image),
    ]
    write_project(project, f"Labels of {tiles.name}", layers, tiles.crs, whole.bounds)


def _spot(tiles: SceneTiles) -> float:
    """Return the diameter of the spot for a tile's label, units of the CRS: spots of neighbours do not touch."""
    assert tiles.transform is not None
    return 0.4 * tiles.identity.stride * abs(tiles.transform.determinant) ** 0.5
