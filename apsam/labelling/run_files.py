"""Find the files for a run's suggestions, in `results/<run>`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apsam.config import read_config
from apsam.errors import InputError
from apsam.labelling.tile_outputs import RunScene, predict_tiles, score_tiles
from apsam.report.inputs import map_sources, scene_files
from apsam.scenes import Scene, read_scene_sheet

# Scores of all tiles written by the workflow: of the localizer, and of the ResUNet if a scene is not mapped.
SCORES, MAP_SCORES = "suggestions/localizer", "suggestions/map"


def scored_scenes(run: Path, sheet: Sequence[Scene], source: str) -> list[RunScene]:
    """Return scenes of a run whose tiles have scores of the workflow.

    Args:
        run: `results/<run>`, or a folder of links to files of the store under the same names.
        sheet: Rows of these scenes.
        source: Pseudo-masks whose map is used.
    """
    found = []
    for scene in sheet:
        ending = ".zip" if scene.kind == "folder" else "_probability.tif"
        found.append(
            RunScene(
                scene.name,
                run / f"tiles/{scene.name}.zarr.zip",
                scores=run / f"{SCORES}/{scene.name}.zarr.zip",
                masks=run / f"masks/apsam/{scene.name}.zarr.zip",
                probability=run / f"maps/{source}/{scene.name}{ending}",
                map_scores=run / f"{MAP_SCORES}/{scene.name}.zarr.zip",
            )
        )
    return found


def run_scenes(run: Path, scratch: Path, device: str = "auto") -> list[RunScene]:
    """Return the scenes of a finished run that have tiles, with the map that the run's report shows first.

    Args:
        run: `results/<run>`.
        scratch: Folder for scores of tiles that the workflow has not stored.
        device: Device of the networks.

    Raises:
        InputError: `run` is not a run with a localizer.
    """
    record = run / "report/config.yaml"
    weights = run / "localizer/weights.safetensors"
    for file in (record, weights):
        if not file.is_file():
            raise InputError(f"{file}: missing, so {run} is not a finished run; make one: snakemake --cores all")
    config = read_config(record)
    source = map_sources(run)[0]
    found = []
    for files in scene_files(run, read_scene_sheet(config.scenes, config.data_dir), config.maps):
        if not files.tiles.exists():
            continue
        scores = run / f"{SCORES}/{files.name}.zarr.zip"
        if not scores.exists():
            scores = scratch / f"{files.name}_scores.zarr.zip"
            score_tiles(files.tiles, weights, scores, device)
        folder = files.scene.kind == "folder"
        probability = files.predicted_tiles(source) if folder else files.map(source, "probability")
        map_scores = None
        resunet = run / f"resunet/{source}/weights.safetensors"
        if not probability.exists() and resunet.is_file():
            map_scores = run / f"{MAP_SCORES}/{files.name}.zarr.zip"
            if not map_scores.exists():
                map_scores = scratch / f"{files.name}_map_scores.zarr.zip"
                predict_tiles(files.tiles, resunet, map_scores, device)
        found.append(RunScene(files.name, files.tiles, scores, files.masks("apsam"), probability, map_scores))
    if not found:
        raise InputError(f"{run}: has no tiles; run the workflow first")
    return found
