"""Measure the overhead of the workflow: parsing, the plan of 2,000 scenes, and the time per job besides its own work.

In a copy of the project whose scripts only touch their outputs, so that only Snakemake and the rules are measured. The
plan is compared with that of as many jobs of a Snakefile of one-line rules, which is what Snakemake itself takes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from apsam.files import write_json
from benchmarks import measuring

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from small_project import Project, copy_project  # noqa: E402

# Number of timed starts of Python.
STARTS = 10

# Replaces every script: makes the output files named in the arguments.
TOUCH = """
import json
import sys
from pathlib import Path
known = json.loads(sys.argv[sys.argv.index("--recipe") + 1]) if "--recipe" in sys.argv else {}
for option, path in zip(sys.argv, sys.argv[1:]):
    if option.startswith("--") and known and path.startswith(known["folder"]):
        Path(path).touch()
if known:
    Path(known["folder"], "recipe.json").write_text("{}")
"""

# As many jobs as a plan, in chains as long as those of a scene.
BARE = """
rule all:
    input: ["s{last}/%05d.x" % unit for unit in range({units})]

for number in range({last} + 1):
    rule:
        name: "r%d" % number
        input: [ancient("s%d/{{unit}}.x" % (number - 1))] if number else []
        output: "s%d/{{unit}}.x" % number
        shell: "touch {{output}}"
"""
STAGES_OF_A_SCENE = 9


def make_project(folder: Path, scenes: int) -> Project:
    """A project with a sheet of synthetic scenes, every fifth of them held out."""
    project = copy_project(folder)
    lines = ["scene\timage\tlabels\tmask\tsplit"]
    lines += [f"s{i:05d}\tsynthetic\tmask\t\t{'train' if i % 5 else 'test'}" for i in range(scenes)]
    (folder / "config/small_scenes.tsv").write_text("\n".join(lines) + "\n")
    for script in (folder / "scripts").glob("*.py"):
        script.write_text(TOUCH)
    return project


def timed(project: Project, *arguments: str) -> dict[str, float]:
    """Run Snakemake: wall clock and processor time, seconds, with all its jobs."""
    before, started = os.times(), time.perf_counter()
    project.snakemake("--quiet", "all", *arguments)
    wall, after = time.perf_counter() - started, os.times()
    spent = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return {"wall_s": round(wall, 2), "processor_s": round(spent, 2)}


def bare_plan(folder: Path, jobs: int) -> dict[str, float]:
    """Plan as many jobs of a Snakefile of one-line rules."""
    folder.mkdir()
    units = max(1, round(jobs / STAGES_OF_A_SCENE))
    (folder / "Snakefile").write_text(BARE.format(last=STAGES_OF_A_SCENE - 1, units=units))
    return timed(Project(folder), "--dry-run")


def parse_time(project: Project) -> dict[str, float]:
    """Return the time from the first line of the Snakefile to the last, and whether torch was imported."""
    file = project.folder / "Snakefile"
    before = "import time\n_started = time.perf_counter(), time.process_time()\n"
    after = (
        "\nprint('PARSED', time.perf_counter() - _started[0], time.process_time() - _started[1],"
        " 'torch' in sys.modules, file=sys.stderr)\n"
    )
    text = file.read_text()
    file.write_text(before + text + after)
    printed = project.snakemake("--dry-run", "--quiet", "all", "--", "all_scenes")
    file.write_text(text)
    words = next(line.split() for line in printed.splitlines() if line.startswith("PARSED"))
    return {"wall_s": round(float(words[1]), 3), "processor_s": round(float(words[2]), 3), "torch": words[3] == "True"}


def job_seconds(project: Project) -> tuple[int, float]:
    """Return the number of jobs that ran, and their own time: a start of Python each."""
    start = time.perf_counter()
    for _ in range(STARTS):
        subprocess.run([sys.executable, "-c", TOUCH], check=True)
    each = (time.perf_counter() - start) / STARTS
    jobs = len(list((project.folder / "results/store").rglob("recipe.json")))
    return jobs, jobs * each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="20 scenes each")
    parser.add_argument("--plan", type=int, help="scenes of the plan (default: 2000)")
    parser.add_argument("--run", type=int, help="scenes of the run, tiled: two jobs each (default: 1000)")
    arguments = parser.parse_args()
    arguments.plan = arguments.plan or (20 if arguments.short else 2000)
    arguments.run = arguments.run or (20 if arguments.short else 1000)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        large = make_project(Path(folder) / "plan", arguments.plan)
        plan = timed(large, "--dry-run") | {"jobs": sum(large.plan().values())}
        bare = bare_plan(Path(folder) / "bare", int(plan["jobs"]))
        tiny = make_project(Path(folder) / "run", arguments.run)
        first_parse = parse_time(tiny)
        run = timed(tiny, "--", "all_tiles")
        jobs, own = job_seconds(tiny)
        later_parse = parse_time(tiny)
    overhead = (run["wall_s"] * 2 - own) / jobs
    result = {
        "command": "python -m benchmarks.bench_workflow",
        "machine": {**measuring.machine(torch.device("cpu")), "load_1min": round(load, 1)},
        "plan": {"scenes": arguments.plan, **plan},
        "plan_of_one_line_rules": bare,
        "parse": {"first": first_parse, "later": later_parse},
        "run": {"scenes": arguments.run, "jobs": jobs, **run, "own_s": round(own, 1)},
        "overhead_s_a_job": round(max(0.0, overhead), 3),
        "processor_s_a_job": round(run["processor_s"] / jobs, 3),
    }
    path = measuring.MEASURED / "workflow.json"
    write_json(path, result)
    print(path.read_text())


if __name__ == "__main__":
    main()
