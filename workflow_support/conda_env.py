"""Write envs/apsam.yaml, the environment of jobs under `--software-deployment-method conda`, from the lock.

The project's own code is no part of it: jobs find it beside the Snakefile (`workflow_support.environment`).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = """\
# Written by `make lock` from pyproject.toml and constraints.txt. torch is the index's build: it runs with and without
# a GPU.
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def render(pyproject: str, constraints: str) -> str:
    """The environment's YAML: what the library needs, at the versions of the lock."""
    versions = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", constraints, re.MULTILINE))
    pins = {_normal(name): version for name, version in versions.items()}
    names = [re.match(r"[\w.-]+", line)[0] for line in tomllib.loads(pyproject)["project"]["dependencies"]]
    return HEADER + "".join(f"      - {name}=={pins[_normal(name)]}\n" for name in names)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    text = render((ROOT / "pyproject.toml").read_text(), (ROOT / "constraints.txt").read_text())
    (ROOT / "envs" / "apsam.yaml").write_text(text)
