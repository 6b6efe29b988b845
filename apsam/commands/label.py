"""Command that makes the label page, and adds its labels to a grid or table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apsam.commands.options import named
from apsam.commands.options import settings as section
from apsam.tiles.settings import TileSettings

if TYPE_CHECKING:
    from apsam.labelling.existing import ExistingRules

Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="the layer of labels may lack landslides, so it makes no tile negative")
]
Reach = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="maximum extent of a landslide from its point, metres; without it, points make no tile negative",
        show_default=False,
    ),
]
Accuracy = Annotated[
    float | None,
    typer.Option(
        min=0, help="maximum position error of outlines and points, metres; default: 1/16 of a tile", show_default=False
    ),
]


def label(
    scenes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENE...",
            help="rasters, or folders of ready-made tiles; NAME=PATH if the scene sheet uses another name",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="folder for the page; with --add: the grid or table to add to"),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|SCENE=FILE",
            help="existing labels to show and fill in: points, polygons, a table, a grid",
            show_default=False,
        ),
    ] = None,
    add: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="table from the page, to add to -o; makes no page", show_default=False),
    ] = None,
    order: Annotated[
        Path | None, typer.Option(help="order of the tiles, JSON of apsam suggest", show_default=False)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="with --add: labels of the table replace others")] = False,
    incomplete: Incomplete = False,
    reach: Reach = None,
    accuracy: Accuracy = None,
    settings: Annotated[TileSettings, section(TileSettings, "tiles")] = TileSettings(),
) -> None:
    """Make a web page for labelling tiles with the keyboard, or add its table to a grid.

    The page opens from disk, without a server: apsam label valley.tif -o valley_page.
    Then: apsam label --add valley_labels.csv -o valley_grid.gpkg
    """
    from apsam.errors import InputError
    from apsam.labelling.existing import ExistingRules

    if output is None:
        raise InputError("-o is missing: the folder for the page, or with --add the grid or table to add to")
    given = [_scene(text) for text in scenes or []]
    if add:
        if labels or order:
            raise InputError("--labels and --order are for making a page, --add is not; run the command twice")
        _add(add, output, given, replace, settings)
        return
    if not given:
        raise InputError("name a scene to label, for example: apsam label valley.tif -o valley_page")
    if replace:
        raise InputError("--replace needs --add")
    _make(given, output, labels or [], order, ExistingRules(not incomplete, reach, accuracy), settings)


def _scene(text: str) -> tuple[str | None, Path]:
    """Split NAME=PATH; the name is None if only a path is given."""
    from apsam.errors import InputError
    from apsam.scenes import SCENE_NAME

    path = Path(text)
    name = None
    if not path.exists() and "=" in text:
        name, value = named(text)
        path = Path(value)
        if not SCENE_NAME.fullmatch(name):
            raise InputError(f"{text}: a scene's name is made of letters, digits, '_' and '-'")
    if not path.exists():
        raise InputError(f"{path}: no such raster or folder of tiles")
    return name, path


def _make(
    given: list[tuple[str | None, Path]],
    output: Path,
    labels: list[str],
    order: Path | None,
    rules: ExistingRules,
    settings: TileSettings,
) -> None:
    from apsam.labelling.page import PAGE, PageScene, labels_by_scene, make_label_page
    from apsam.labelling.scene_tiles import scene_name
    from apsam.labelling.suggestions import read_suggestions

    names = [name or scene_name(path) for name, path in given]
    files = labels_by_scene(labels, names)
    wanted = [PageScene(path, name, files.get(name), rules) for name, (_, path) in zip(names, given, strict=True)]
    made = make_label_page(wanted, output, settings, read_suggestions(order) if order else None)
    for scene in made:
        left_out = f" ({scene.left_out} more have too little data)" if scene.left_out else ""
        print(f"{scene.name}: {scene.tiles} tiles{left_out}")
        for line in scene.lines:
            print(f"  {line}")
    print(f"open {output / PAGE} in a browser")


def _add(files: list[Path], output: Path, given: list, replace: bool, settings: TileSettings) -> None:
    from apsam.errors import InputError
    from apsam.labelling.add import add_labels
    from apsam.labelling.scene_tiles import folder_tiles, raster_tiles
    from apsam.tiles.reader import SceneReader

    if len(given) > 1:
        raise InputError("--add: a table has the labels of one scene; name one scene, or none")
    tiles = None
    for name, path in given:
        if path.is_dir():
            tiles = folder_tiles(path, name)
        else:
            with SceneReader(path, settings) as reader:
                tiles = raster_tiles(reader, settings, name)
    known = (None, None) if tiles is None else (tiles.identity, tiles.names)
    done = add_labels(files, output, known[0], replace, known[1])
    parts = [f"{done.new} label{'s' * (done.new != 1)} added", f"{done.same} there already"]
    if done.replaced:
        parts.append(f"{done.replaced} replaced")
    if done.kept:
        parts.append(f"{done.kept} others kept")
    print(f"{output}: {', '.join(parts)}; {done.empty} tiles have no label")
