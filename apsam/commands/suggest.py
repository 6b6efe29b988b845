"""Commands that suggest which tiles to label next and which labels look wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apsam.commands.options import DataDir, Device, Sheet, Threads, Tiles


def localizer_scores(
    tiles: Tiles,
    weights: Annotated[Path, typer.Option(help="weights of the localizer")],
    output: Annotated[Path, typer.Option(help="stack of the scores to make")],
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write the localizer's probability for every tile of a scene, labelled or not."""
    from apsam.device import set_threads
    from apsam.labelling.tile_outputs import score_tiles

    set_threads(threads)
    score_tiles(tiles, weights, output, device)


def map_scores(
    tiles: Tiles,
    weights: Annotated[Path, typer.Option(help="weights of the ResUNet")],
    output: Annotated[Path, typer.Option(help="stack of the scores to make")],
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write the ResUNet's probability for every tile of a scene that is not mapped."""
    from apsam.device import set_threads
    from apsam.labelling.tile_outputs import predict_tiles

    set_threads(threads)
    predict_tiles(tiles, weights, output, device)


def suggestions(
    run: Annotated[Path, typer.Option(help="folder of the run, results/NAME, with the scores of the tiles")],
    scenes: Sheet,
    only: Annotated[list[str], typer.Option(help="name of a scene; repeatable")],
    output: Annotated[Path, typer.Option(help="JSON file to make, for apsam label --order")],
    source: Annotated[str, typer.Option(help="pseudo-masks whose ResUNet made the map")] = "apsam",
    data_dir: DataDir = None,
) -> None:
    """Rank the tiles of a run by the usefulness of their labels; all inputs must exist."""
    from apsam.labelling.run_files import scored_scenes
    from apsam.labelling.suggest import suggest_for_run
    from apsam.labelling.suggestions import write_suggestions
    from apsam.scenes import read_scene_sheet

    sheet = [scene for scene in read_scene_sheet(scenes, data_dir) if scene.name in only]
    found, missing = suggest_for_run(scored_scenes(run, sheet, source))
    for text in missing:
        print(f"note: {text}")
    write_suggestions(found, output)


def suggest(
    run: Annotated[Path, typer.Argument(help="folder of a finished run, results/NAME")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="suggestions.json for apsam label --order, or .csv", show_default=False),
    ] = None,
    grid: Annotated[
        list[Path] | None,
        typer.Option(help="tile grid (.gpkg) to write columns into; repeatable", show_default=False),
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="number of tiles of each kind to print")] = 10,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Suggest which tiles to label next, and which labels look wrong; reference masks are not read."""
    from tempfile import TemporaryDirectory

    from apsam.device import set_threads
    from apsam.labelling.run_files import run_scenes
    from apsam.labelling.suggest import suggest_for_run
    from apsam.labelling.suggestions import check_format, write_suggestions
    from apsam.labelling.tables import fill_suggestions

    if output is not None:
        check_format(output)
    set_threads(threads)
    with TemporaryDirectory() as scratch:
        found, missing = suggest_for_run(run_scenes(run, Path(scratch), device))
    for text in missing:
        print(f"note: {text}")
    for kind, title in (("look", "Tiles to label next"), ("check", "Labels, those that look wrong first")):
        entries = found.of(kind)
        print(f"{title} ({len(entries)} tiles in order)")
        for entry in entries[:show]:
            print(f"  {entry.rank:4d}  {entry.scene}  {entry.tile}  {entry.score:.2f}  {entry.why}")
    if output is not None:
        write_suggestions(found, output)
        see = f"; see them: apsam label SCENE -o FOLDER --order {output}" if output.suffix.lower() == ".json" else ""
        print(f"{output}: written{see}")
    for path in grid or []:
        print(f"{path}: {fill_suggestions(path, found)} tiles have a rank in the columns look_rank, check_rank")
