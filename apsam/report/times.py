"""How long the jobs of a run took, from the recipes next to its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from apsam.errors import InputError
from apsam.files import places_of
from apsam.store.recipe import job_folder, read_recipe, store_of
from apsam.store.view import stored_file

# Seconds between two jobs of one go: the workflow starts the next within a few.
LONGEST_PAUSE = 60
# Stages of what is asked for by name.
NOT_OF_THE_RUN = ("experiments/", "table1/", "trials", "apsam_metrics")

Recipe = Mapping[str, Any]


@dataclass(frozen=True)
class StageTime:
    """What the jobs of one stage took together: seconds, and the largest memory of one, MB."""

    stage: str
    jobs: int
    seconds: float
    peak_mb: float | None


def recipes_of(run: Path) -> list[Recipe]:
    """The recipes of a run's files, without those of experiments.

    Args:
        run: A view of the store, or a folder of links to files of the store.
    """
    found: dict[Path, Recipe] = {}
    for file in sorted(run.rglob("*")):
        if file.is_dir() or file.name.startswith("."):
            continue
        for place in places_of(file):
            try:
                stored = stored_file(place)
                folder = job_folder(stored, store_of(stored))
                if folder not in found:
                    found[folder] = read_recipe(folder)
                break
            except InputError:
                continue
    return [recipe for recipe in found.values() if not str(recipe.get("stage", "")).startswith(NOT_OF_THE_RUN)]


def stage_times(recipes: Iterable[Recipe]) -> list[StageTime]:
    """Times by stage, the longest first; empty where nothing was measured."""
    by_stage: dict[str, list[Recipe]] = {}
    for recipe in recipes:
        if isinstance(recipe.get("seconds"), int | float):
            by_stage.setdefault(recipe["stage"], []).append(recipe)
    times = []
    for stage, jobs in by_stage.items():
        peaks = [job["peak_mb"] for job in jobs if job.get("peak_mb") is not None]
        times.append(StageTime(stage, len(jobs), sum(job["seconds"] for job in jobs), max(peaks, default=None)))
    return sorted(times, key=lambda time: (-time.seconds, time.stage))


def elapsed(recipes: Sequence[Recipe], cores: int) -> float | None:
    """Seconds from the start of the first job to the end of the last.

    None where that says nothing: jobs lie apart (the run was made in several goes), or overlap more than `cores` allow
    (they were made in several places).
    """
    jobs = []
    for recipe in recipes:
        if isinstance(recipe.get("seconds"), int | float) and recipe.get("ended"):
            end = datetime.fromisoformat(recipe["ended"]).timestamp()
            jobs.append((end - recipe["seconds"], end))
    if not jobs:
        return None
    start = last = min(jobs)[0]
    for begin, end in sorted(jobs):
        if begin - last > LONGEST_PAUSE:
            return None
        last = max(last, end)
    busy = sum(end - begin for begin, end in jobs)
    # Ends are known to the second.
    return last - start if busy <= (last - start + 2) * cores * 1.05 else None
