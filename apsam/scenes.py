"""The scene sheet: the scenes of a run, with paths of labels and masks, and the split into training and test."""

from __future__ import annotations

import csv
import difflib
import io
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from apsam.errors import InputError
from apsam.files import from_home, read_text
from apsam.vectors.layers import split_layer, with_layer

if TYPE_CHECKING:
    from apsam.tiles.settings import LabelSettings

log = logging.getLogger(__name__)

COLUMNS = ("scene", "image", "labels", "mask", "split")
# Columns that override the setting of the same name in the section `labels`, for one scene.
LABEL_COLUMNS = ("buffer_m", "ignore_m", "size_column", "size_kind", "length_to_width")
OPTIONAL_COLUMNS = ("date", "mask_values", *LABEL_COLUMNS)
# In the column `size_column`: no column, although the configuration names one.
NO_COLUMN = "-"
SPLITS = ("train", "test", "blocks")
SYNTHETIC = "synthetic"
LABELS_FROM_MASK = "mask"
TILE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# Images that are not read as ready-made tiles.
OTHER_IMAGES = (".bmp", ".gif", ".webp", ".jp2", ".npy", ".npz", ".h5", ".hdf5", ".mat")
LONGEST_NAME = 100
# File names that all scenes share, and endings of file names of one scene.
RESERVED_NAME, RESERVED_ENDINGS = "all", ("_mask", "_probability", "_image")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
SCENE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Scene:
    """One row of the scene sheet.

    Attributes:
        name: Letters, digits, `_` and `-`; names its files in the results.
        kind: `raster`, `folder` (of ready-made tiles) or `synthetic` (made by the workflow).
        image: The raster or the folder; None for a synthetic scene.
        labels: The file of image-level labels, a table or vector layer; None: derived from the mask.
        mask: Reference mask: raster, vector layer or folder of masks; None if there is none.
        split: `train`, `test` or `blocks`.
        taken: Date of the image, if the sheet has the column `date`.
        labels_layer, mask_layer: Layer of these files, if the sheet names one: `file.gpkg|layername=landslides`.
        mask_values: Meaning of the mask's values, if the sheet has the column (`apsam.tiles.mask_values`).
        label_values: Settings of the section `labels` that the row overrides: (name, value).
    """

    name: str
    kind: Literal["raster", "folder", "synthetic"]
    image: Path | None
    labels: Path | None
    mask: Path | None
    split: Literal["train", "test", "blocks"]
    taken: date | None = None
    labels_layer: str | None = None
    mask_layer: str | None = None
    mask_values: str | None = None
    label_values: tuple[tuple[str, Any], ...] = ()

    def label_settings(self, labels: LabelSettings) -> LabelSettings:
        """Return the settings of labels, with those that the row of the sheet overrides."""
        return labels.model_copy(update=dict(self.label_values))

    @property
    def labels_source(self) -> Path | None:
        """Path of the labels, with the layer if one is named."""
        return None if self.labels is None else with_layer(self.labels, self.labels_layer)

    @property
    def mask_source(self) -> Path | None:
        """Path of the mask, with the layer if one is named."""
        return None if self.mask is None else with_layer(self.mask, self.mask_layer)


def read_scene_sheet(sheet: Path, data_dir: Path | None = None) -> list[Scene]:
    """Read and check the scene sheet, a table with tabs: scene, image, labels, mask, split, and optional columns.

    Relative paths are resolved from `data_dir`, or from the sheet's folder if it is not set.

    Raises:
        InputError: Names the problem and its line.
    """
    if not sheet.is_file():
        raise InputError(f"{sheet}: no such scene sheet; set 'scenes' in the configuration")
    lines = [
        (number, line)
        for number, line in enumerate(io.StringIO(read_text(sheet), newline=""), 1)
        if line.strip() and not line.startswith("#")
    ]
    reader = csv.reader((line for _, line in lines), delimiter="\t")
    written = tuple(column.strip() for column in next(reader, ()))
    columns = tuple(column.lower() for column in written)
    more = [column for column in columns[len(COLUMNS) :] if column]
    if columns[: len(COLUMNS)] != COLUMNS or len(set(more)) < len(more) or not set(more) <= set(OPTIONAL_COLUMNS):
        text = "".join(columns)
        separated = "semicolons" if ";" in text else "commas" if "," in text else ""
        raise InputError(
            f"{sheet}: the first line must be the columns {', '.join(COLUMNS)} (and {', '.join(OPTIONAL_COLUMNS)} if "
            f"wanted), separated by tabs{f', not by {separated}' if separated else ''}; it is {list(written)}"
            f"{'' if separated else _nearest_names(columns)}"
        )
    base = data_dir or sheet.parent
    scenes: list[Scene] = []
    names: dict[str, str] = {}
    for number, cells in enumerate(_rows(reader, sheet), 1):
        _check_width(cells, columns, f"{sheet}, line {lines[reader.line_num - 1][0]}")
        row = {column: cell for column, cell in zip(columns, cells, strict=False) if column}
        where = f"{sheet}, scene {number} ('{row['scene']}')"
        scene = _parse(row, base, where)
        before = names.get(scene.name.lower())
        if before == scene.name:
            raise InputError(f"{where}: the name is used twice")
        if before is not None:
            raise InputError(
                f"{where}: the name differs from '{before}' in capital letters only; files are named by it, and "
                f"would be the same on Windows and macOS; rename one"
            )
        names[scene.name.lower()] = scene.name
        scenes.append(scene)
    if not scenes:
        raise InputError(f"{sheet}: lists no scene")
    _check_parts(scenes, sheet)
    return scenes


def _nearest_names(columns: Sequence[str]) -> str:
    """What unknown column names were probably meant to be, for an error."""
    known = (*COLUMNS, *OPTIONAL_COLUMNS)
    unknown = {column: difflib.get_close_matches(column, known, 1, 0.7) for column in columns if column not in known}
    meant = [f"'{near[0]}' for '{column}'" for column, near in unknown.items() if near]
    return f"; did you mean {', '.join(meant)}?" if meant else ""


def _rows(reader: Any, sheet: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise InputError(f"{sheet}: cannot be read ({error}); is a quotation mark opened and not closed?") from error


def _check_width(cells: list[str], columns: Sequence[str], where: str) -> None:
    """Remove empty columns, which spreadsheets may add at the end; the date is optional."""
    width = len(cells)
    if width < len(COLUMNS) or any(cell.strip() for cell in cells[len(columns) :]):
        raise InputError(
            f"{where} has {width} column{'s' * (width != 1)} instead of {len(columns)} ({', '.join(columns)}); "
            f"separate columns with tabs, not with spaces, empty ones too"
        )


def _parse(row: dict[str, str], base: Path, where: str) -> Scene:
    name, image, labels, mask, split = (row[column].strip() for column in COLUMNS)
    image, labels = _word(image, SYNTHETIC), _word(labels, LABELS_FROM_MASK)
    if not SCENE_NAME.fullmatch(name):
        raise InputError(f"{where}: a scene's name is made of letters, digits, '_' and '-'")
    if name.lower() == RESERVED_NAME or name.lower().endswith(RESERVED_ENDINGS):
        raise InputError(
            f"{where}: a scene's name must not be '{RESERVED_NAME}' or end in {' or '.join(RESERVED_ENDINGS)}, "
            f"which identifies its files"
        )
    if len(name) > LONGEST_NAME:
        raise InputError(f"{where}: a scene's name has {LONGEST_NAME} letters at most, since it names files")
    split = split.lower()
    if split not in SPLITS:
        raise InputError(f"{where}: split '{split}' is none of {', '.join(SPLITS)}")
    taken = _date(row.get("date"), where)
    if image == SYNTHETIC:
        if split == "blocks" or labels != LABELS_FROM_MASK:
            raise InputError(f"{where}: a synthetic scene has labels 'mask' and split train or test")
        return Scene(name, "synthetic", None, None, None, split, taken)  # type: ignore[arg-type]  # split was checked
    if not image or not labels:
        raise InputError(f"{where}: 'image' and 'labels' must be given")
    image_path = _path(base, image, where)
    mask_path, mask_layer = _source(base, mask, where)
    mask_values = (row.get("mask_values") or "").strip() or None
    if labels == LABELS_FROM_MASK and mask_path is None:
        raise InputError(f"{where}: labels are to be derived from the mask, but no mask is given")
    kind = "folder" if image_path.is_dir() and image_path.suffix.lower() != ".gdb" else "raster"
    if kind == "folder" and split == "blocks":
        raise InputError(f"{where}: a folder of tiles cannot be split into blocks; use one folder a part")
    label_path, label_layer = (None, None) if labels == LABELS_FROM_MASK else _source(base, labels, where)
    values = _label_values(row, where)
    if values and (label_path is None or kind == "folder"):
        instead = "here they are derived from the mask" if label_path is None else "ready-made tiles have a table"
        raise InputError(f"{where}: {values[0][0]} concerns a vector layer of labels; {instead}")
    return Scene(
        name, kind, image_path, label_path, mask_path, split, taken, label_layer, mask_layer, mask_values, values,  # type: ignore[arg-type]  # split was checked
    )  # fmt: skip


def _word(cell: str, word: str) -> str:
    """A cell, which may be a word that has a meaning, in any case."""
    return word if cell.lower() == word else cell


def _label_values(row: dict[str, str], where: str) -> tuple[tuple[str, Any], ...]:
    """Return the settings of labels in a row, validated like those of the configuration."""
    given = {name: text for name in LABEL_COLUMNS if (text := (row.get(name) or "").strip())}
    if not given:
        return ()
    from pydantic import ValidationError

    from apsam.tiles.settings import LabelSettings

    # No column of sizes for this scene, although other scenes of the run have one.
    none = given.get("size_column") == NO_COLUMN
    try:
        read = LabelSettings.model_validate(given).model_dump()
    except ValidationError as error:
        problem = error.errors()[0]
        message = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {problem['loc'][0]} '{given[str(problem['loc'][0])]}': {message}") from None
    return tuple((name, None if none and name == "size_column" else read[name]) for name in given)


def _source(base: Path, cell: str, where: str) -> tuple[Path | None, str | None]:
    """Split a cell into file and layer."""
    if not cell:
        return None, None
    path = _path(base, cell, where)
    try:
        return split_layer(path)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _path(base: Path, cell: str, where: str) -> Path:
    """Resolve the path in a cell: relative to the data folder, or to the home folder after `~/`.

    Raises:
        InputError: It is a URL.
    """
    if ADDRESS.match(cell):
        raise InputError(f"{where}: '{cell}' is an address; download the file, and give its path")
    return base / from_home(Path(cell))


def _date(text: str | None, where: str) -> date | None:
    if not (text or "").strip():
        return None
    try:
        return date.fromisoformat(text.strip())  # type: ignore[union-attr]  # None has returned
    except ValueError as error:
        raise InputError(f"{where}: date '{text}' is not written like 2026-07-31") from error


def _check_parts(scenes: Sequence[Scene], sheet: Path) -> None:
    if not any(scene.split in ("train", "blocks") for scene in scenes):
        raise InputError(f"{sheet}: no scene trains; set 'split' of at least one to train or blocks")


def image_files(folder: Path) -> list[Path]:
    """List the image files of a folder by name, without folders and hidden files (`._x.png` of macOS).

    Raises:
        InputError: A symbolic link points to a file that is missing, as of git-annex and DVC before it was fetched.
    """
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.lower().endswith(TILE_SUFFIXES) or entry.name.startswith("."):
                continue
            if entry.is_file():
                names.append(entry.name)
            elif entry.is_symlink() and not os.path.exists(entry.path):
                raise InputError(
                    f"{entry.path}: points to a missing file ({os.readlink(entry.path)}); fetch it (git annex get, "
                    f"dvc pull), or remove the link"
                )
    return [folder / name for name in sorted(names)]


def other_images(folder: Path) -> list[str]:
    """List names of images in a folder of ready-made tiles that are not read."""
    return sorted(name for name in os.listdir(folder) if name.lower().endswith(OTHER_IMAGES) and name[0] != ".")


def _instead_of_tiles(folder: Path) -> str:
    """What a folder without tiles contains, and how tiles are made of it."""
    if others := other_images(folder):
        return f", but {', '.join(others[:5])}; convert them to PNG or TIFF of 8 bit, red, green and blue"
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if folders:
        return (
            f", but the folders {', '.join(folders[:5])}; put the tiles of a scene into one folder, and what the names "
            f"of these say (for example landslide or not) into a table of the columns tile and label"
        )
    return "; the tiles of a scene are files in one folder"


def tile_files(folder: Path) -> list[Path]:
    """List the images of a folder of ready-made tiles, by name.

    Raises:
        InputError: The folder has none, or two whose masks could not be distinguished.
    """
    files = image_files(folder)
    if not files:
        raise InputError(f"{folder}: contains no tile ({', '.join(TILE_SUFFIXES)}){_instead_of_tiles(folder)}")
    stems: dict[str, str] = {}
    for file in files:
        if stems.setdefault(file.stem, file.name) != file.name:
            raise InputError(
                f"{folder}: has {stems[file.stem]} and {file.name}, but tiles are identified by their names without "
                f"the ending; rename one, or put masks into a folder of their own"
            )
    return files
