"""Write the environments of jobs under `--software-deployment-method conda` from the lock: with CUDA, and without.

Every package that the library needs, directly or not, in the version of constraints.txt. The project's own code is not
included: jobs find it next to the Snakefile (`workflow_support.environment`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

# Packages that jobs need in addition to the package's own dependencies.
JOB_EXTRAS = ("train", "report")

# The two builds of torch: that of the index runs with and without a GPU, and requires CUDA.
CUDA, CPU = "envs/apsam.yaml", "envs/apsam-cpu.yaml"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_BUILDS = ("torch", "torchvision")
CUDA_PACKAGES = re.compile(r"nvidia-|cuda-|triton$")

HEADER = """\
# Written by `make lock` from pyproject.toml and constraints.txt. {about}
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
"""
ABOUT = {
    CUDA: "torch is the index's build: it runs with and without a GPU.",
    CPU: "For `device: cpu`: torch without CUDA, 3 GB less.",
}


def render(pyproject: str, constraints: str) -> dict[str, str]:
    """Return the environments: file -> YAML.

    Raises:
        KeyError: A package is missing in the lock; run `make lock`.
    """
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", constraints, re.MULTILINE)
    pins = {_normal(name): version for name, version in lines}
    needed = _with_requirements(job_requirements(pyproject))
    cuda_only = {name for name in pins if CUDA_PACKAGES.match(name)}
    with_cuda = {name: pins[name] for name in sorted(needed | cuda_only)}
    without = {name: pins[name] for name in sorted(needed - cuda_only)}
    cpu_lines = [f"--extra-index-url {CPU_INDEX}"]
    cpu_lines += [f"{name}=={pin}+cpu" if name in CPU_BUILDS else f"{name}=={pin}" for name, pin in without.items()]
    return {CUDA: _render(CUDA, [f"{name}=={pin}" for name, pin in with_cuda.items()]), CPU: _render(CPU, cpu_lines)}


def job_requirements(pyproject: str) -> list[str]:
    """Return all requirements of jobs, as in pyproject.toml, including those of extras named by an extra."""
    project = tomllib.loads(pyproject)["project"]
    extras, todo, found = project["optional-dependencies"], list(JOB_EXTRAS), list(project["dependencies"])
    for extra in todo:
        for text in extras[extra]:
            requirement = Requirement(text)
            if requirement.name == project["name"]:
                todo += sorted(requirement.extras - set(todo))
            else:
                found.append(text)
    return found


def _render(name: str, lines: Iterable[str]) -> str:
    return HEADER.format(about=ABOUT[name]) + "".join(f"      - {line}\n" for line in lines)


def _with_requirements(texts: Iterable[str]) -> set[str]:
    """Return names of packages and of all their dependencies, from the installed packages."""
    todo = [Requirement(text) for text in texts]
    done: set[tuple[str, str]] = set()
    while todo:
        requirement = todo.pop()
        name = _normal(requirement.name)
        for extra in {"", *requirement.extras} - {extra for known, extra in done if known == name}:
            done.add((name, extra))
            try:
                further = [Requirement(text) for text in requires(name) or []]
            except PackageNotFoundError:
                continue
            todo += [one for one in further if one.marker is None or one.marker.evaluate({"extra": extra})]
    return {name for name, _ in done}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    for file, text in render((ROOT / "pyproject.toml").read_text(), (ROOT / "constraints.txt").read_text()).items():
        (ROOT / file).write_text(text)
