"""Environment of jobs: the same Python and the same code as the Snakemake process that starts them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apsam.errors import ConfigError
from apsam.temporary_files import this_process

# Environment variable: the process of the Snakemake that the user started. On another node or in a container, a job may
# have the same number.
STARTED_BY = "APSAM_STARTED_BY"


def starts_here() -> bool:
    """Whether this is the Snakemake process started by the user; jobs inherit the mark that it sets."""
    mark = this_process()
    return os.environ.setdefault(STARTED_BY, mark) == mark


def settled(name: str, find_out: Callable[[], Any]) -> Any:
    """Return what the process started by the user found out, of what may be different when a job starts.

    Args:
        name: Of the environment variable by which jobs inherit it.
        find_out: Returns values of JSON.
    """
    # Leaves no mark itself: a process that only looks at a run may start Snakemake later.
    if os.environ.get(STARTED_BY, this_process()) == this_process() or name not in os.environ:
        os.environ[name] = json.dumps(find_out())
    return json.loads(os.environ[name])


def check_folder(root: Path | str) -> None:
    """Check that this process runs in the project's folder, from which jobs find their scripts, and a run its results.

    Raises:
        ConfigError: It is another one.
    """
    here = Path.cwd()
    if not here.samefile(root):
        raise ConfigError(
            f"{here}: is not the folder of the workflow; start Snakemake in {root}, without --snakefile and "
            f"--directory. Configuration files, scene sheet and data may be anywhere (--configfile, scenes, data_dir)"
        )


def use_project(root: Path | str) -> None:
    """Set the environment so that jobs find this Python (also without activation) and the code in `root` first."""
    _prepend("PATH", str(Path(sys.executable).parent))
    _prepend("PYTHONPATH", str(root))


def _prepend(variable: str, folder: str) -> None:
    others = [part for part in os.environ.get(variable, "").split(os.pathsep) if part and part != folder]
    os.environ[variable] = os.pathsep.join([folder, *others])
