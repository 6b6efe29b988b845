"""Write dvc.yaml: one stage for each step of the workflow, with all that decides what the step makes.

    python -m workflow_support.dvc_stages > dvc.yaml

Written, not kept by hand, because DVC knows of the code only what a stage lists: a module that is missing there is a
change that `dvc repro` does not see. The files come from what the commands really use (`apsam.code_hash`), the keys of
the configuration and the order of the stages from what decides a stage's files (`workflow_support.variants`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from apsam.code_hash import PACKAGE_ROOT, code_files
from workflow_support.variants import STAGES

ROOT = PACKAGE_ROOT.parent
RESULTS = "results/${run}"

HEADER = """\
# Made by `python -m workflow_support.dvc_stages`. The same steps as the rules, for those who version every
# intermediate: dvc repro, dvc exp run, dvc checkout, dvc push (docs/dvc.md). Each stage lets Snakemake make the step's
# files and nothing before them (--allowed-rules), and keeps what made them beside them (rules/provenance.smk). Outputs
# are never `persist`ed: that passes results of other settings off as current. Scenes of your own: add the folder they
# lie in to the deps of the stage `scenes`. params.yaml holds what experiments change over config.yaml.
vars: ["config.yaml:run,scenes,data_dir"]
"""

# Rule files of tables over runs.
TABLES = ("experiments", "table1")

# Steps whose files a step reads beside those that decide its own anyway (`STAGES`).
ALSO_READ = {
    "embeddings": ("scenes",),
    "masks": ("tiles",),
    # True masks, if `resunet.keep` asks for them.
    "resunet": ("scenes", "tiles"),
    "maps": ("tiles", "prompts", "masks"),
    "metrics": ("scenes", "tiles"),
    "report": ("scenes", "tiles", "cams", "prompts", "masks", "resunet", "maps"),
}

# Steps that read the scene sheet. `maps` takes the date of an image from it.
READ_THE_SHEET = ("scenes", "tiles", "resunet", "maps", "metrics", "report")

# More files of one subpackage than this, and the stage depends on all of it.
FILES_OF_A_PACKAGE = 3


class Step(NamedTuple):
    """A stage of dvc.yaml.

    Attributes:
        target: What Snakemake is asked for.
        rules: The rules that make it.
        commands: The commands that the rules call: `module` or `module:command` of `apsam.commands`.
        stages: The stages of `workflow_support.variants` that it is made of, or the folder of several.
        files: Its outputs in the folder of the run; by default the folder of its name.
        metrics: Those that `dvc metrics` shows.
        whole_config: Whether every key of the configuration counts.
        keys: Sections that it reads beside those of its stages.
    """

    target: str
    rules: tuple[str, ...]
    commands: tuple[str, ...]
    stages: tuple[str, ...]
    files: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    whole_config: bool = False
    keys: tuple[str, ...] = ()


# Large scenes are worked on in blocks.
JOINED, JOIN = ("join_stacks",), ("join:join_stacks",)

STEPS = {
    "scenes": Step("all_scenes", ("synthesize", "inventory"), ("synthesize", "inventory"), ("scenes",)),
    "tiles": Step("all_tiles", ("tile", *JOINED), ("tile", *JOIN), ("tiles",)),
    "localizer": Step(
        f"{RESULTS}/localizer/weights.safetensors",
        ("localizer", "localizer_offline"),
        ("localizer", "localizer_offline"),
        ("localizer_offline", "localizer"),
    ),
    "cams": Step("all_cams", ("cams", *JOINED), ("cams", *JOIN), ("cams",)),
    "embeddings": Step("all_embeddings", ("encode", *JOINED), ("encode", *JOIN), ("embeddings",)),
    "prompts": Step("all_prompts", ("prompts", "join_prompts"), ("prompts", "join:join_prompts"), ("prompts",)),
    "masks": Step(
        "all_masks",
        ("masks_apsam", "masks_cam", "masks_grabcut", *JOINED),
        ("masks:masks_apsam", "masks:masks_cam", "masks:masks_grabcut", *JOIN),
        ("masks/apsam", "masks/cam", "masks/grabcut"),
    ),
    "resunet": Step("all_networks", ("resunet",), ("resunet",), ("resunet/apsam", "resunet/cam")),
    "maps": Step(
        "all_maps",
        ("predict", "predict_block", "predict_join", "predict_tiles", "products"),
        (
            "predict:predict_scene",
            "predict:predict_block",
            "predict:predict_join",
            "predict:predict_tiles",
            "products",
        ),
        ("maps/apsam", "maps/cam"),
        keys=("products",),
    ),
    "metrics": Step(
        "all_metrics",
        ("metrics_masks", "metrics_maps", "metrics_summary"),
        ("metrics:metrics_masks", "metrics:metrics_maps", "metrics:metrics_summary"),
        ("metrics/pseudo_masks.json", "metrics/resunet.json", "metrics/summary.json"),
        ("metrics/pseudo_masks.json", "metrics/resunet.json"),
        ("metrics/summary.json",),
    ),
    "report": Step(f"{RESULTS}/report/index.html", ("report",), ("report",), ("report",), whole_config=True),
}

PLOTS = f"""\
plots:
  - localizer:
      title: Training of the localizer
      x: epoch
      y:
        {RESULTS}/localizer/history.json: classification
  - resunet:
      title: Training of the ResUNets
      x: epoch
      y:
        {RESULTS}/resunet/apsam/history.json: loss
        {RESULTS}/resunet/cam/history.json: loss
"""


def render() -> str:
    """The text of dvc.yaml."""
    stages = "\n".join("\n".join(_stage(name, step)) + "\n" for name, step in STEPS.items())
    return f"{HEADER}\nstages:\n{stages}\n{PLOTS}"


def _stage(name: str, step: Step) -> Iterator[str]:
    targets = [step.target] if step.target.startswith("all_") else []
    allowed = " ".join([*step.rules, *targets])
    yield f"  {name}:"
    yield f"    cmd: snakemake --cores all --quiet all --nocolor --allowed-rules {allowed} -- {step.target}"
    yield "    deps:"
    for dependency in [*_inputs(name, step), *_code(step.commands)]:
        yield f"      - {dependency}"
    if step.whole_config:
        yield "    params:\n      - config.yaml:\n      - params.yaml:"
    else:
        keys = sorted({key for stage in _stages_of(step) for key in STAGES[stage].reads} | set(step.keys))
        if keys:
            yield f"    params:\n      - config.yaml: [{', '.join(keys)}]\n      - params.yaml: [{', '.join(keys)}]"
    if step.metrics:
        yield "    metrics:"
        for file in step.metrics:
            yield f"      - {RESULTS}/{file}"
    yield "    outs:"
    for file in [*(step.files or (name,)), f".provenance/{name}.json"]:
        yield f"      - {RESULTS}/{file}"


def _inputs(name: str, step: Step) -> list[str]:
    """The scene sheet, where it is read, and the outputs of the stages before."""
    sheet = ["${scenes}"] if name in READ_THE_SHEET else []
    before = {_step_of(stage) for own in _stages_of(step) for stage in STAGES[own].after} | set(ALSO_READ.get(name, ()))
    before -= {name}
    files: list[str] = []
    for other in STEPS:
        if other in before:
            files += [*(STEPS[other].files or (other,)), *STEPS[other].metrics]
    return [*sheet, *(f"{RESULTS}/{file}" for file in files)]


def _step_of(stage: str) -> str:
    return next(name for name, step in STEPS.items() if stage in _stages_of(step))


def _stages_of(step: Step) -> list[str]:
    return [stage for stage in STAGES if stage in step.stages or stage.partition("/")[0] in step.stages]


def _code(commands: Sequence[str]) -> list[str]:
    """The files that commands use, subpackages of which they use much as a whole."""
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
    """`apsam/sam` of `apsam/sam/decode.py`; "" for commands, of which a stage has its own, and for single modules."""
    match = re.match(r"(apsam/(?!commands/)\w+)/", file)
    return match[1] if match else ""


def rules_of(folder: Path = ROOT / "rules") -> set[str]:
    """Names of the rules that make a run; tables over runs are asked for by name, and no stage waits for them."""
    texts = [file.read_text() for file in sorted(folder.glob("*.smk")) if file.stem not in TABLES]
    return {name for text in texts for name in re.findall(r"^rule (\w+):", text, re.MULTILINE)}


if __name__ == "__main__":
    print(render(), end="")
