"""The scene sheet: which scenes there are, where their labels and masks lie, and what they are used for."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from apsam.errors import InputError, no_such
from apsam.files import read_text
from apsam.vectors import VECTOR_SUFFIXES

if TYPE_CHECKING:
    from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings

COLUMNS = ("scene", "image", "labels", "mask", "split")
OPTIONAL_COLUMNS = ("date",)
SPLITS = ("train", "test", "blocks")
SYNTHETIC = "synthetic"
LABELS_FROM_MASK = "mask"
TILE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
SCENE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Scene:
    """One row of the scene sheet.

    Attributes:
        name: Letters, digits, `_` and `-`; names its files in the results.
        kind: `raster`, `folder` (of ready-made tiles) or `synthetic` (made by the workflow).
        image: The raster or the folder; None for a synthetic scene.
        labels: A table or vector layer of image-level labels; None: derived from the mask.
        mask: True mask, raster, vector layer or folder of masks; None where there is none.
        split: `train`, `test` or `blocks`.
        taken: Date of the image, where the sheet has the column `date`.
    """

    name: str
    kind: Literal["raster", "folder", "synthetic"]
    image: Path | None
    labels: Path | None
    mask: Path | None
    split: Literal["train", "test", "blocks"]
    taken: date | None = None


def read_scene_sheet(sheet: Path, data_dir: Path | None = None) -> list[Scene]:
    """Read and check the scene sheet, a table with tabs: scene, image, labels, mask, split, and if wanted date.

    Relative paths are taken from `data_dir`, or from the sheet's folder where none is given.

    Raises:
        InputError: What is wrong, and in which line.
    """
    if not sheet.is_file():
        raise InputError(f"{sheet}: no such scene sheet; set 'scenes' in the configuration")
    lines = [
        (number, line)
        for number, line in enumerate(io.StringIO(read_text(sheet), newline=""), 1)
        if line.strip() and not line.startswith("#")
    ]
    reader = csv.reader((line for _, line in lines), delimiter="\t")
    columns = tuple(column.strip() for column in next(reader, ()))
    if columns not in (COLUMNS, COLUMNS + OPTIONAL_COLUMNS):
        raise InputError(
            f"{sheet}: the first line must be the columns {', '.join(COLUMNS)} (and {OPTIONAL_COLUMNS[0]} if wanted), "
            f"separated by tabs; it is {list(columns)}"
        )
    base = data_dir or sheet.parent
    scenes: list[Scene] = []
    for number, cells in enumerate(reader, 1):
        _check_width(cells, columns, f"{sheet}, line {lines[reader.line_num - 1][0]}")
        row = dict(zip(columns, cells, strict=False))
        where = f"{sheet}, scene {number} ('{row['scene']}')"
        scene = _parse(row, base, where)
        if scene.name in {other.name for other in scenes}:
            raise InputError(f"{where}: the name is used twice")
        scenes.append(scene)
    if not scenes:
        raise InputError(f"{sheet}: lists no scene")
    _check_parts(scenes, sheet)
    return scenes


def _check_width(cells: list[str], columns: Sequence[str], where: str) -> None:
    """A spreadsheet may add empty columns at the end; the date may be left out."""
    width = len(cells)
    if width < len(COLUMNS) or any(cell.strip() for cell in cells[len(columns) :]):
        raise InputError(
            f"{where} has {width} column{'s' * (width != 1)} instead of {len(columns)} ({', '.join(columns)}); "
            f"separate columns with tabs, not with spaces, empty ones too"
        )


def _parse(row: dict[str, str], base: Path, where: str) -> Scene:
    name, image, labels, mask, split = (row[column].strip() for column in COLUMNS)
    if not SCENE_NAME.fullmatch(name):
        raise InputError(f"{where}: a scene's name is made of letters, digits, '_' and '-'")
    if split not in SPLITS:
        raise InputError(f"{where}: split '{split}' is none of {', '.join(SPLITS)}")
    taken = _date(row.get("date"), where)
    if image == SYNTHETIC:
        if split == "blocks" or labels != LABELS_FROM_MASK:
            raise InputError(f"{where}: a synthetic scene has labels 'mask' and split train or test")
        return Scene(name, "synthetic", None, None, None, split, taken)  # type: ignore[arg-type]
    if not image or not labels:
        raise InputError(f"{where}: 'image' and 'labels' must be given")
    image_path = base / image
    mask_path = base / mask if mask else None
    if labels == LABELS_FROM_MASK and mask_path is None:
        raise InputError(f"{where}: labels are to be derived from the mask, but no mask is given")
    kind = "folder" if image_path.is_dir() else "raster"
    if kind == "folder" and split == "blocks":
        raise InputError(f"{where}: a folder of tiles cannot be split into blocks; use one folder a part")
    label_path = None if labels == LABELS_FROM_MASK else base / labels
    return Scene(name, kind, image_path, label_path, mask_path, split, taken)  # type: ignore[arg-type]


def _date(text: str | None, where: str) -> date | None:
    if not (text or "").strip():
        return None
    try:
        return date.fromisoformat(text.strip())  # type: ignore[union-attr]
    except ValueError as error:
        raise InputError(f"{where}: date '{text}' is not written like 2026-07-31") from error


def _check_parts(scenes: Sequence[Scene], sheet: Path) -> None:
    if not any(scene.split in ("train", "blocks") for scene in scenes):
        raise InputError(f"{sheet}: no scene trains; set 'split' of at least one to train or blocks")


def tile_files(folder: Path) -> list[Path]:
    """The images of a folder of ready-made tiles, by name.

    Raises:
        InputError: The folder holds none, or two whose masks could not be told apart.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in TILE_SUFFIXES)
    if not files:
        raise InputError(f"{folder}: holds no tile ({', '.join(TILE_SUFFIXES)})")
    stems: dict[str, str] = {}
    for file in files:
        if stems.setdefault(file.stem, file.name) != file.name:
            raise InputError(
                f"{folder}: holds {stems[file.stem]} and {file.name}, but tiles are told apart by their names without "
                f"the ending; rename one, or put masks into a folder of their own"
            )
    return files


def check_scenes(scenes: Sequence[Scene], tiles: TileSettings, labels: LabelSettings, split: SplitSettings) -> None:
    """Meet bad input before work starts: open every header, check that files exist and fit together.

    Only headers, label tables and one tile of a folder are read: a sheet of 1,000 scenes is checked in seconds.

    Args:
        scenes: All scenes of the sheet.
        tiles: Bands that rasters must have, and size of a tile.
        labels: How much the features of layers are widened.
        split: Blocks that scenes are divided into.

    Raises:
        InputError: The first thing that is wrong.
    """
    if all(scene.kind == "synthetic" for scene in scenes):
        return
    from apsam.tiles.labels import read_label_table
    from apsam.tiles.parts import check_blocks
    from apsam.tiles.reader import check_bands, check_crs, open_raster
    from apsam.tiles.ready_made import check_tiles

    positive = negative = 0
    only_tables = True
    for scene in scenes:
        if scene.kind == "synthetic":
            only_tables = False
            continue
        if scene.kind == "raster":
            with open_raster(scene.image) as raster:
                check_bands(raster, scene.image, tiles.bands)
                check_crs(raster, scene.image)
                if scene.split == "blocks":
                    check_blocks(scene.image, *raster.shape, split, tiles)
        if scene.mask is not None:
            if scene.kind == "folder" and not scene.mask.is_dir():
                raise InputError(f"{scene.mask}: masks of the tile folder {scene.image} must be a folder too")
            if not scene.mask.exists():
                raise no_such("mask", scene.mask)
        if scene.kind == "folder":
            check_tiles(tile_files(scene.image), scene.mask)
        if scene.labels is None or scene.labels.suffix.lower() in VECTOR_SUFFIXES:
            only_tables = False
            if scene.labels is not None and not scene.labels.exists():
                raise no_such("vector layer", scene.labels)
            continue
        table = read_label_table(scene.labels)
        if scene.kind == "folder":
            names = {file.name for file in tile_files(scene.image)}
            unknown = sorted(set(table) - names)
            if unknown:
                raise InputError(f"{scene.labels}: '{unknown[0]}' is no tile of {scene.image}")
            missing = sorted(names - set(table))
            if missing:
                raise InputError(f"{scene.labels}: has no label for the tile '{missing[0]}' of {scene.image}")
        if scene.split != "test":
            positive += sum(label == 1 for label in table.values())
            negative += sum(label == 0 for label in table.values())
    _check_layers(scenes, labels)
    if only_tables and not positive:
        raise InputError("no tile of the training scenes is labelled positive; a localizer needs both kinds")
    if only_tables and not negative:
        raise InputError("no tile of the training scenes is labelled negative; a localizer needs both kinds")


def _check_layers(scenes: Sequence[Scene], labels: LabelSettings) -> None:
    """Vector layers of raster scenes, each once: one may serve many scenes, as labels and as mask."""
    uses: dict[Path, list[Path]] = {}
    for scene in scenes:
        for layer in dict.fromkeys((scene.labels, scene.mask)):
            if scene.kind == "raster" and layer is not None and layer.suffix.lower() in VECTOR_SUFFIXES:
                uses.setdefault(layer, []).append(scene.image)
    if not uses:
        return
    from apsam.tiles.layers import check_layer

    labelling = {scene.labels for scene in scenes}
    for layer, images in uses.items():
        given = layer in labelling
        check_layer(layer, images, labels.buffer_m if given else 0, may_be_empty=not given)
