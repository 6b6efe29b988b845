"""Write dvc.yaml: one stage for each step of the workflow, with everything that its outputs depend on.

    python -m workflow_support.dvc_stages > dvc.yaml

It is generated, because DVC knows only the code and settings that a stage lists, and does not detect a change of
anything missing. Inputs and settings come from the table of stages (`workflow_support.stages`),
the files of the code from the code that the commands use (`apsam.code_hash`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from apsam.code_hash import PACKAGE_ROOT, code_files
from apsam.config import Config
from workflow_support.changes import NOT_CHANGED
from workflow_support.recipes import STORE, Job, Ref, Section
from workflow_support.run import Run
from workflow_support.stages import STAGES

ROOT = PACKAGE_ROOT.parent
VIEW = "results/${run}"
GIVEN = f"{STORE}/given/${{run}}.json"

HEADER = """\
# Made by `python -m workflow_support.dvc_stages`. The same steps as the rules, for those who version every
# intermediate: dvc repro, dvc exp run, dvc checkout, dvc push (docs/dvc.md). Each stage lets Snakemake make the step's
# files. Outputs are folders of the store, whose paths say what their files are; so they persist from run to run. The
# stage `given` has the checksums of all data that the configuration names: scenes, labels, masks, elevations, weights.
# params.yaml contains what experiments change over config.yaml.
vars: ["config.yaml:run,scenes"]
"""

# If a stage uses more files of one subpackage than this, it depends on the whole subpackage.
FILES_OF_A_PACKAGE = 3
# A step depends on all that it can read, whichever settings are on.
WITH_SAM = {"localizer": {"method": "s2c"}}
SECOND_ROUND = {"self_training": {"rounds": 2}}
SCENE_WIDE = {"ground": {"exclude": True, "heat_maps": "labels", "masks": "scene", "decision": "expected_f1"}}
# Files that convert rules to commands.
WORKFLOW = ("Snakefile", "rules/common.smk", "workflow_support")


class Step(NamedTuple):
    """A stage of dvc.yaml.

    Attributes:
        target: Target for Snakemake.
        rules: Files in `rules/`.
        given: Whether it may read input data.
        shown: Files of the view that are outputs too: for `dvc metrics` and `dvc plots`.
        whole_config: Whether it depends on every key of the configuration.
    """

    target: str
    rules: tuple[str, ...]
    given: bool = False
    shown: tuple[str, ...] = ()
    whole_config: bool = False


STEPS = {
    "scenes": Step("all_scenes", ("synthesize",)),
    "tiles": Step("all_tiles", ("tile", "join"), given=True),
    "ground": Step("all_ground", ("ground",), given=True),
    "localizer": Step("all_localizer", ("localizer",), given=True, shown=("localizer/history.json",)),
    "cams": Step("all_cams", ("cams", "join")),
    "embeddings": Step("all_embeddings", ("encode", "join"), given=True),
    "prompts": Step("all_prompts", ("prompts", "join")),
    "heatmaps": Step("all_heatmaps", ("heatmaps",), given=True),
    "views": Step("all_views", ("ground", "heatmaps"), given=True),
    "masks": Step("all_masks", ("masks", "join", "ground"), given=True),
    "resunet": Step(
        "all_networks", ("resunet",), given=True, shown=("resunet/apsam/history.json", "resunet/cam/history.json")
    ),
    "self_training": Step("all_self_training", ("self_training", "join"), given=True),
    "maps": Step("all_maps", ("predict", "products"), given=True),
    "metrics": Step("all_metrics", ("metrics", "localizer"), given=True, shown=("metrics/summary.json",)),
    "suggestions": Step("all_suggestions", ("suggest",), given=True),
    "report": Step("all_reports", ("report",), given=True, whole_config=True),
}
METRICS = ("metrics/summary.json",)

PLOTS = f"""\
plots:
  - localizer:
      title: Training of the localizer
      x: epoch
      y:
        {VIEW}/localizer/history.json: classification
  - resunet:
      title: Training of the ResUNets
      x: epoch
      y:
        {VIEW}/resunet/apsam/history.json: loss
        {VIEW}/resunet/cam/history.json: loss
"""


class Reading:
    """A configuration that records which of its sections and keys are read."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.keys: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name in Config.model_fields:
            self.keys.add(name)
        return getattr(self._config, name)


def render() -> str:
    """Return the text of dvc.yaml."""
    values = {**Config().model_dump(mode="json"), "scenes": str(ROOT / "scenes.tsv")}
    values["report"] |= {"suggestions": "all"}
    configurations = [{**values, **changes} for changes in ({}, WITH_SAM, SECOND_ROUND, SCENE_WIDE | SECOND_ROUND)]
    stages = "\n".join("\n".join(_stage(name, step, configurations)) + "\n" for name, step in STEPS.items())
    return f"{HEADER}\nstages:\n{_given()}\n{stages}\n{PLOTS}"


def shown() -> set[str]:
    """Return the files of the view that are outputs."""
    return {file for step in STEPS.values() for file in step.shown}


def _given() -> str:
    return f"""\
  given:
    cmd: python -m workflow_support.dvc_inputs {GIVEN}
    always_changed: true
    outs:
      - {GIVEN}
"""


def _stage(name: str, step: Step, configurations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    # A run of its own each time: what a run has worked out once it does not read again.
    read = [_reads(name, Run(values)) for values in configurations]
    inputs = [folder for folder in (f"{STORE}/{other}" for other in STEPS) if any(folder in found[0] for found in read)]
    keys, commands = set().union(*(found[1] for found in read)), read[0][2]
    yield f"  {name}:"
    # A run may have no synthetic scene; DVC requires every output to exist.
    yield f"    cmd: mkdir -p {STORE}/{name} && snakemake --cores all --quiet all --nocolor -- {step.target}"
    yield "    deps:"
    given = ["${scenes}", GIVEN] if step.given else ["${scenes}"]
    rules = [f"rules/{rule}.smk" for rule in step.rules]
    scripts = sorted({f"scripts/{STAGES[stage].script.split()[0]}" for stage in _stages_of(name)})
    for dependency in [*given, *inputs, *WORKFLOW, *rules, *scripts, *_code(commands)]:
        yield f"      - {dependency}"
    if step.whole_config:
        yield "    params:\n      - config.yaml:\n      - params.yaml:"
    else:
        listed = ", ".join(sorted(keys))
        yield f"    params:\n      - config.yaml: [{listed}]\n      - params.yaml: [{listed}]"
    metrics = [file for file in step.shown if file in METRICS]
    if metrics:
        yield "    metrics:"
        for file in metrics:
            yield f"      - {VIEW}/{file}"
    yield "    outs:"
    yield f"      - {STORE}/{name}:\n          persist: true"
    for file in step.shown:
        if file not in METRICS:
            yield f"      - {VIEW}/{file}"


def _stages_of(step: str) -> list[str]:
    return [name for name in STAGES if name.partition("/")[0] == step]


def _reads(step: str, run: Run) -> tuple[list[str], set[str], list[str]]:
    """Return folders of the store, sections of the configuration and commands that the stages of a step read."""
    noted = Reading(run.config)
    run.config = noted  # type: ignore[assignment]  # stands in for Config, and notes what is read
    inputs, commands = set(), []
    for name in _stages_of(step):
        stage = STAGES[name]
        commands.append(stage.command)
        for unit in stage.units(run)[:1]:
            values = list(_values(stage.job(run, unit)))
            inputs |= {value.stage.partition("/")[0] for value in values if isinstance(value, Ref)}
            noted.keys |= {value.name for value in values if isinstance(value, Section)}
    run.config = noted._config
    order = [name for name in STEPS if name in inputs - {step}]
    return [f"{STORE}/{name}" for name in order], noted.keys - NOT_CHANGED, list(dict.fromkeys(commands))


def _values(job: Job) -> Iterator[Any]:
    todo = [*job.options.values(), *job.also.values()]
    for value in todo:
        if isinstance(value, list):
            todo += value
        else:
            yield value


def _code(commands: Sequence[str]) -> list[str]:
    """Return the files that commands use; subpackages of which they use many files, as a whole."""
    files: set[str] = set()
    for command in commands:
        module, _, definition = command.partition(":")
        file = PACKAGE_ROOT / "commands" / f"{module}.py"
        files |= {path.relative_to(ROOT).as_posix() for path in code_files(file, definition=definition or module)}
    code = sorted(file for file in files if not file.endswith("/__init__.py"))
    packages = Counter(_package(file) for file in code)
    whole = {package for package, count in packages.items() if package and count > FILES_OF_A_PACKAGE}
    return sorted(whole | {file for file in code if _package(file) not in whole})


def _package(file: str) -> str:
    """Return `apsam/sam` for `apsam/sam/decode.py`; "" for commands, which are listed singly, and single modules."""
    match = re.match(r"(apsam/(?!commands/)\w+)/", file)
    return match[1] if match else ""


if __name__ == "__main__":
    print(render(), end="")
