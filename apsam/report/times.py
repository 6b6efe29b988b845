"""How long the jobs of a run took, from the benchmark files that the workflow keeps."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

# Seconds between two jobs of one go: the workflow starts the next within a few.
LONGEST_PAUSE = 60
# Folders of what is asked for by name, after the run or beside it: variants and tables over them (rules/).
NOT_OF_THE_RUN = {"variants", "experiments", "table1"}


@dataclass(frozen=True)
class StageTime:
    """What the jobs of one stage took, from Snakemake's benchmark files."""

    stage: str
    jobs: int
    seconds: float
    peak_mb: float | None


def stage_times(base: Path) -> list[StageTime]:
    """Times by stage, the longest first; empty where nothing was measured.

    Args:
        base: Folder of benchmark files, `<stage>.tsv` or `<stage>/<job>.tsv`.
    """
    by_stage: dict[str, list[tuple[float, float | None]]] = {}
    for file in _files(base):
        parts = file.relative_to(base).parts
        stage = parts[0] if len(parts) > 1 else file.stem
        by_stage.setdefault(stage, []).extend(_rows(file))
    times = []
    for stage, jobs in by_stage.items():
        peaks = [peak for _, peak in jobs if peak is not None]
        times.append(StageTime(stage, len(jobs), sum(s for s, _ in jobs), max(peaks, default=None)))
    return sorted(times, key=lambda time: (-time.seconds, time.stage))


def elapsed(base: Path, cores: int) -> float | None:
    """Seconds from the start of the first job to the end of the last, by the dates of the benchmark files.

    Reports, of which a run may have had many, do not count. None where the dates cannot tell: jobs lie apart (the run
    was made in several goes), or overlap more than `cores` allow (the files were copied).
    """
    jobs = []
    for file in _files(base):
        if file.stem == "report":
            continue
        end = file.stat().st_mtime
        jobs += [(end - seconds, end) for seconds, _ in _rows(file)]
    if not jobs:
        return None
    start = last = min(jobs)[0]
    for begin, end in sorted(jobs):
        if begin - last > LONGEST_PAUSE:
            return None
        last = max(last, end)
    busy = sum(end - begin for begin, end in jobs)
    return last - start if busy <= (last - start) * cores * 1.05 else None


def _files(base: Path) -> list[Path]:
    """Benchmark files of the run itself, without those of experiments."""
    return [file for file in sorted(base.rglob("*.tsv")) if file.relative_to(base).parts[0] not in NOT_OF_THE_RUN]


def _rows(file: Path) -> list[tuple[float, float | None]]:
    """Seconds and peak memory, MB, of the jobs of one benchmark file."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [(_number(row.get("s")), _number(row.get("max_rss"))) for row in csv.DictReader(lines, delimiter="\t")]
    return [(seconds, peak) for seconds, peak in rows if seconds is not None]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
