"""Run the demo from the start to its report, in a copy of the project: wall clock, and time of each stage's jobs.

python -m benchmarks.bench_demo --device cpu --cores 2
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from apsam.report.times import recipes_of, stage_times
from benchmarks.measuring import set_up, write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from small_project import ROOT, Project, copy_project, left_out  # noqa: E402


def copy_demo(folder: Path, small: bool) -> Project:
    """Copy the project to a folder; with the small configuration of its tests, or unchanged."""
    if small:
        return copy_project(folder)
    shutil.copytree(ROOT, folder, ignore=left_out, symlinks=True)
    return Project(folder)


def stage_seconds(project: Project) -> dict[str, float]:
    """Return total seconds of each stage's jobs, from their recipes."""
    return {one.stage: round(one.seconds, 1) for one in stage_times(recipes_of(project.folder / "results"))}


def main() -> None:
    sizes = {"cores": (0, 2, "cores of Snakemake; 0: all")}
    setup = set_up(__doc__, sam="light", sams=("light",), sizes=sizes)
    with tempfile.TemporaryDirectory(prefix="apsam-demo-") as folder:
        project = copy_demo(Path(folder) / "apsam", setup.short)
        command = ["snakemake", "--cores", str(setup.options.cores or "all"), "--config", f"device={setup.device}"]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=project.folder, env=project.environment(), capture_output=True, text=True)
        wall = time.perf_counter() - started
        if done.returncode:
            sys.exit(f"the demo failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        stages = stage_seconds(project)
    name = "small" if setup.short else "demo"
    write("demo", setup.device, demo={"configuration": name, "wall_s": round(wall, 1), "stages_s": stages})


if __name__ == "__main__":
    main()
