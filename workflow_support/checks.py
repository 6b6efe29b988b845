"""Checks of a run before any job starts."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from apsam.combinations import check_combinations
from apsam.errors import InputError
from apsam.input_content import files_of
from workflow_support.config_files import check_config_files, check_forced
from workflow_support.recipes import Section
from workflow_support.run import Run
from workflow_support.view import check_run_folder

# More scenes than this are not listed when a run starts.
SHOWN_SCENES = 20


def check_run(run: Run) -> None:
    """Check a run before any job starts, and cache the checksums of input data.

    Raises:
        ApsamError: The first problem, and what to do.
    """
    check_config_files(sys.argv[1:])
    check_forced(sys.argv[1:], run.folder)
    check_run_folder(Path(run.folder))
    _check_scenes(run)
    for path in run.all_given():
        if not path.exists():
            raise InputError(f"{path}: no such file; check the configuration")
    check_combinations(run.config, list(run.scenes.values()))
    run.given.prepare(run.all_given())


def _check_scenes(run: Run) -> None:
    """Read all inputs like the jobs, and print how they are read; cached until one of them changes."""
    if not run.all_given():
        return
    found = run.memory.get("check", str(run.config.scenes), _state_of_inputs(run), lambda: _read_inputs(run))
    for warning in found:
        print(f"warning: {warning}", file=sys.stderr)


def _read_inputs(run: Run) -> list[str]:
    from apsam.inputs import check

    config = run.config
    report = check(
        list(run.scenes.values()), config.tiles, config.labels, config.split, config.dem, scene_wide=run.scene_wide
    )
    if len(run.scenes) <= SHOWN_SCENES:
        print(report.table(), file=sys.stderr)
    else:
        print(f"{len(run.scenes)} scenes were checked; apsam check {config.scenes} shows them", file=sys.stderr)
    return list(report.warnings)


def _state_of_inputs(run: Run) -> str:
    """Return a hash of everything that a check of the inputs depends on: settings, code, size and time of files."""
    lines = [run.section(Section(name)) for name in ("tiles", "labels", "split")]
    lines += [repr(run.scenes), str(run.config.dem), str(run.scene_wide), run.code.source]
    for path in run.all_given():
        for file in files_of(path):
            status = file.stat() if file.exists() else None
            lines.append(f"{file} {status.st_size} {status.st_mtime_ns}" if status else f"{file} -")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
