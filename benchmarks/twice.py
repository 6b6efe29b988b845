"""Test whether a run is reproducible: run the workflow twice, each time from the start, and compare every file.

    python -m benchmarks.twice                       the default run
    python -m benchmarks.twice config/small.yaml     with other settings

Both runs are made in copies of this project. The exit code is 1 if files differ that should not:
all but the report (which has the run times of jobs) must be the same, byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "results", "logs", ".snakemake", "__pycache__", ".dvc", "data")

# It has run times.
MAY_DIFFER = ("report",)


def main() -> int:
    """Run twice, print the differences by stage."""
    parser = argparse.ArgumentParser(description="Run the workflow twice and compare every file.")
    parser.add_argument("overlays", nargs="*", type=Path, help="configuration files over config.yaml")
    parser.add_argument("--cores", default="all", help="as for Snakemake")
    parser.add_argument("--folder", type=Path, help="where to run; by default a folder that is removed afterwards")
    arguments = parser.parse_args()
    overlays = [str(overlay.resolve()) for overlay in arguments.overlays]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        first, second = (_run(Path(folder) / name, overlays, arguments.cores) for name in ("first", "second"))
    return _compare(first, second)


def _run(folder: Path, overlays: list[str], cores: str) -> dict[str, str]:
    """Run the workflow in a copy of the project; return the SHA-256 of every result."""
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT, symlinks=True)
    begin = time.monotonic()
    command = ["snakemake", "--cores", cores, "--quiet", "all", "--configfile", "config.yaml", *overlays]
    subprocess.run(command, cwd=folder, check=True)
    print(f"{folder.name} run: {time.monotonic() - begin:.0f} s")
    results = folder / "results"
    return {
        "/".join(file.relative_to(results).parts[1:]): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(results.rglob("*"))
        if file.is_file() and file.name != ".view.json"
    }


def _compare(first: dict[str, str], second: dict[str, str]) -> int:
    stages: dict[str, list[str]] = {}
    for name in sorted(first.keys() | second.keys()):
        stages.setdefault(name.split("/")[0], []).append(name)
    failed = False
    for stage, names in stages.items():
        different = [name for name in names if first.get(name) != second.get(name)]
        allowed = stage in MAY_DIFFER or all(name.endswith("report.json") for name in different)
        failed |= bool(different) and not allowed
        note = f"{len(different)} differ: {', '.join(different[:5])}" if different else "the same"
        print(f"{stage:<12} {len(names):>5} files   {note}")
    print("DIFFERENT" if failed else "the same, byte by byte")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
