"""Make the label page: a folder with one HTML file, its scripts, and pictures of the scenes. No server, no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from apsam import __version__
from apsam.errors import InputError
from apsam.files import atomic_path
from apsam.labelling.existing import ExistingLabels, ExistingRules, read_existing
from apsam.labelling.pictures import CHUNK, Level, folder_pictures, raster_pictures
from apsam.labelling.scene_tiles import SceneTiles, folder_tiles, metres_on_the_map, raster_tiles
from apsam.labelling.suggestions import Suggestions
from apsam.tiles.labels import UNLABELLED
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

PAGE, DATA, PICTURES, APP = "index.html", "scenes.js", "pictures", "app"
MARK = "apsam label page"

SCRIPTS = (
    "names.js", "labels.js", "table.js", "queue.js", "theme.js", "chunks.js", "view.js", "overview.js", "list.js",
    "page.js",
)  # fmt: skip
STYLE = "label.css"


@dataclass(frozen=True)
class PageScene:
    """A scene of the page.

    Attributes:
        image: Raster, or folder of ready-made tiles.
        name: None: the name of the file.
        labels: Existing labels to show and fill in.
        rules: Rules for a layer of landslides.
    """

    image: Path
    name: str | None = None
    labels: Path | None = None
    rules: ExistingRules = field(default_factory=ExistingRules)


@dataclass(frozen=True)
class MadeScene:
    """Return lines on a scene of the page, for the command line."""

    name: str
    tiles: int
    left_out: int
    lines: Sequence[str]


def make_label_page(
    scenes: Sequence[PageScene],
    output: Path,
    settings: TileSettings,
    suggestions: Suggestions | None = None,
) -> list[MadeScene]:
    """Write the label page of some scenes.

    Args:
        scenes: At least one; their names differ.
        output: Folder for the page. An existing label page is replaced, other files in the folder are kept.
        settings: Tile size, overlap, bands, stretch: those of the run.
        suggestions: Tiles to show first, with reasons (`apsam suggest`).

    Returns:
        One entry per scene.

    Raises:
        InputError: A scene or its labels cannot be used, or `output` is a folder of other files.
    """
    check_folder(output)
    made: list[MadeScene] = []
    entries: list[dict[str, Any]] = []
    with ExitStack() as readers:
        opened = [_open(scene, settings, readers) for scene in scenes]
        names = [tiles.name for tiles, _ in opened]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"two scenes are called '{twice}'; name one: --name {twice}_2=IMAGE, or rename its file")
        if suggestions is not None:
            suggestions.check(names)
        with atomic_path(output / PICTURES) as pictures:
            for scene, (tiles, reader) in zip(scenes, opened, strict=True):
                levels = _pictures(tiles, reader, settings, pictures / tiles.name)
                existing = (
                    read_existing(scene.labels, tiles, scene.rules)
                    if scene.labels is not None
                    else ExistingLabels.nothing(len(tiles.names))
                )
                entries.append(describe_scene(tiles, existing, levels, suggestions))
                lines = existing.summary(tiles.counted) if scene.labels is not None else []
                count = int(tiles.counted.sum())
                made.append(MadeScene(tiles.name, count, len(tiles.names) - count, lines))
    with atomic_path(output / APP) as app:
        app.mkdir()
        for name in (*SCRIPTS, STYLE):
            (app / name).write_text(_static(name), encoding="utf-8")
    data = {"version": __version__, "scenes": entries}
    with atomic_path(output / DATA) as partial:
        text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        partial.write_text(f"window.APSAM_LABELLING={text};\n")
    with atomic_path(output / PAGE) as partial:
        partial.write_text(_static(PAGE), encoding="utf-8")
    return made


def check_folder(output: Path) -> None:
    """Raise InputError if `output` is a file, or contains files of these names that are not of a label page."""
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; name a folder for the label page")
    page = output / PAGE
    if page.exists() and MARK in page.read_text(encoding="utf-8", errors="replace"):
        return
    taken = next((output / name for name in (PAGE, DATA, PICTURES, APP) if (output / name).exists()), None)
    if taken is not None:
        raise InputError(f"{taken}: already exists and is not of a label page; choose another -o")


def describe_scene(
    tiles: SceneTiles, existing: ExistingLabels, levels: Sequence[Level], suggestions: Suggestions | None
) -> dict[str, Any]:
    """Return the data of a scene for the page, as JSON; tiles are numbered as in the run."""
    kept = np.flatnonzero(tiles.counted)
    label = existing.label[kept]
    entry: dict[str, Any] = {
        "scene": tiles.identity.scene,
        "grid": tiles.identity.text,
        "kind": "raster" if tiles.is_raster else "folder",
        "size": tiles.identity.size,
        "height": tiles.height,
        "width": tiles.width,
        "map": map_matrix(tiles),
        "chunk": CHUNK,
        "levels": [asdict(level) for level in levels],
        "pictures": f"{PICTURES}/{tiles.name}",
        # A label table lists all candidate tiles, including those without data.
        "tiles": len(tiles.names),
        "numbers": kept.tolist(),
        "existing": "".join("." if value == UNLABELLED else str(value) for value in label.tolist()),
        "source": existing.source,
        "reasons": existing.reasons,
        "reason": existing.reason[kept].tolist() if existing.reason.any() else [],
        "doubtful": np.flatnonzero(existing.doubtful[kept]).tolist(),
        "shapes": drawn_lines(existing.shapes),
    }
    if tiles.is_raster:
        entry["rows"], entry["cols"] = (np.unique(tiles.windows[:, axis]).tolist() for axis in (0, 1))
    else:
        entry["names"], entry["windows"] = tiles.names, tiles.windows.tolist()
    if suggestions is not None:
        entry["suggested"] = suggestions.for_page(tiles)
    return entry


def drawn_lines(shapes: Sequence[shapely.Geometry]) -> list[list[float]]:
    """Convert shapes to lines x, y, x, y, ... in pixels of the scene: rings, lines, and points with one pair."""
    lines = []
    for part in shapely.get_parts(np.array(shapes, object)):
        rings = shapely.get_rings(part) if part.geom_type == "Polygon" else [part]
        lines += [np.round(shapely.get_coordinates(ring), 1).ravel().tolist() for ring in rings]
    return [line for line in lines if line]


def map_matrix(tiles: SceneTiles) -> list[float] | None:
    """Return pixel steps on the ground, metres: east and south of a step to the right, then of a step down.

    None for a folder, whose pictures have no known size.
    """
    if not tiles.is_raster:
        return None
    assert tiles.crs is not None and tiles.transform is not None
    east, north = metres_on_the_map(tiles.crs, tiles.transform, tiles.height, tiles.width)
    a, b, _, d, e, _ = tuple(tiles.transform)[:6]
    return [a * east, -d * north, b * east, -e * north]


def _open(scene: PageScene, settings: TileSettings, readers: ExitStack) -> tuple[SceneTiles, SceneReader | None]:
    if scene.image.is_dir():
        return folder_tiles(scene.image, scene.name), None
    reader = readers.enter_context(SceneReader(scene.image, settings))
    return raster_tiles(reader, settings, scene.name), reader


def _pictures(tiles: SceneTiles, reader: SceneReader | None, settings: TileSettings, folder: Path) -> list[Level]:
    shutil.rmtree(folder, ignore_errors=True)
    if reader is None:
        return folder_pictures(tiles, folder)
    return raster_pictures(reader, tiles, settings, folder)


def _static(name: str) -> str:
    return (package_files("apsam.labelling") / "static" / name).read_text(encoding="utf-8")


def labels_by_scene(given: Sequence[str], scenes: Sequence[str]) -> Mapping[str, Path]:
    """Return the label file of every scene, from arguments `FILE` (for all of them) and `SCENE=FILE`.

    Raises:
        InputError: A scene does not exist, or has two files.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, equals, value = text.partition("=")
        own = bool(equals) and name in scenes
        if equals and not own and not Path(text).exists():
            raise InputError(f"--labels {text}: '{name}' is not a scene of this page; they are {', '.join(scenes)}")
        for scene in [name] if own else scenes:
            if scene in found:
                raise InputError(f"--labels {text}: the scene '{scene}' has the labels {found[scene]} already")
            found[scene] = Path(value if own else text)
    return found
