"""A copy of the project with the small configuration as its default, for running real Snakemake."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from workflow_support.targets import TARGETS

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".git", ".venv", "results", "logs", ".snakemake", "__pycache__", "data"}


class Project:
    """A copy of the project in a folder, with the small configuration as its default."""

    def __init__(self, folder: Path, printed: str = "") -> None:
        self.folder = folder
        self.printed = printed

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run Snakemake in it; return its output."""
        return self.run("snakemake", "--cores", "2", *arguments, check=check)

    def run(self, program: str, *arguments: str, check: bool = True, **environment: str) -> str:
        """Run a program of this environment in it; return its output."""
        done = subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and done.returncode:
            raise AssertionError(f"{program} {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def environment(self, **given: str) -> dict[str, str]:
        """The variables with which programs find this environment and this copy of the code, next to those given."""
        variables = {**os.environ, "PYTHONPATH": str(self.folder), **given}
        return {**variables, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"}

    def plan(self, *arguments: str) -> dict[str, int]:
        """What Snakemake would run: rule -> number of jobs, without the targets, which always run."""
        printed = self.snakemake("--dry-run", *arguments)
        table = printed.split("Job stats:")[1].split("total")[0]
        counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
        return {name: count for name, count in counts.items() if name not in {*TARGETS, "view_file"}}

    def replace(self, file: str, old: str, new: str) -> None:
        """Change a text file."""
        text = (self.folder / file).read_text()
        assert old in text, f"{file} no longer contains {old!r}"
        (self.folder / file).write_text(text.replace(old, new))

    def configure(self, section: str, **values: object) -> None:
        """Change keys of a section of config.yaml."""
        file = self.folder / "config.yaml"
        config = yaml.safe_load(file.read_text())
        config[section].update(values)
        file.write_text(yaml.safe_dump(config))

    def results(self) -> dict[str, bytes]:
        """Return every file of the store and of the views, by name; without recipes, which have run times."""
        folder = self.folder / "results"
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        return {str(f.relative_to(folder)): f.read_bytes() for f in files if f.name != "recipe.json"}

    def tree(self) -> dict[str, tuple[int, int, int]]:
        """Every file and folder of the project with its inode, size and time."""
        found = {}
        for file in sorted(self.folder.rglob("*")):
            status = file.lstat()
            found[str(file.relative_to(self.folder))] = status.st_ino, status.st_size, status.st_mtime_ns
        return found


def left_out(folder: str, names: list[str]) -> set[str]:
    """What of a folder is not copied."""
    return {"cache", "tmp"} if Path(folder).name == ".dvc" else LEFT_OUT & set(names)


def copy_project(target: Path) -> Project:
    """Copy the source, and put config/small.yaml into config.yaml."""
    shutil.copytree(ROOT, target, ignore=left_out, symlinks=True)
    config = yaml.safe_load((target / "config.yaml").read_text())
    for key, value in yaml.safe_load((target / "config" / "small.yaml").read_text()).items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (target / "config.yaml").write_text(yaml.safe_dump(config))
    return Project(target)
