"""Paths of all files of a run, computed from the configuration without any file."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from apsam.config import Config
from workflow_support.code import Code
from workflow_support.memory import Memory
from workflow_support.run import Run

SHEET_HEADER = "scene\timage\tlabels\tmask\tsplit"
SYNTHETIC = {"north": "train", "south": "train", "west": "test"}
CODE = Code(Memory(Path(os.devnull)))


def run_of(sheet: Path, **sections: Any) -> Run:
    values = Config().model_dump(mode="json")
    for name, value in sections.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    return Run({**values, "scenes": str(sheet)})


def paths(run: Run) -> dict[str, str]:
    """Return the path of every file that the default target needs, by plain name."""
    return {name: path for name, path in run.view_files().items() if _is_wanted(run, name)}


def _is_wanted(run: Run, name: str) -> bool:
    if name.endswith("/"):
        return False
    stage = run.plain_names[name].stage
    return not stage.startswith(("trials", "apsam_metrics", "table1", "experiments")) and not any(
        source in stage for source in ("cam_agreed", "box", "truth")
    )


def changed(before: dict[str, str], after: dict[str, str]) -> Counter[str]:
    """Return jobs by stage whose files have another path after than before."""
    folders = {str(Path(path).parent) for path in after.values()} - {str(Path(path).parent) for path in before.values()}
    return Counter(folder.removeprefix("results/store/").rpartition("/")[0] for folder in folders)
