# What all rules share: the run, and how the table of stages (workflow_support/stages/) fills the form of a rule.
import atexit
import gc
import inspect
import os
import sys
import time
from pathlib import Path

# The code next to this Snakefile is the code that runs, also in a copy of the project (a clone, `dvc exp run --temp`).
sys.path.insert(0, workflow.basedir)

from apsam.errors import ApsamError
from apsam.localizer.method_settings import OFFLINE_FILES
from apsam.store.job import STARTED_AT
from apsam.store.lock import take_lock
from workflow_support.changes import with_changes
from workflow_support.checks import check_run
from workflow_support.environment import check_folder, starts_here, use_project
from workflow_support.recipes import FIGURE, PROMPTS, STORE
from workflow_support.run import Run
from workflow_support.stages import STAGES
from workflow_support.stages.sources import NETWORKS
from workflow_support.stages.table1 import KINDS, MEASURED_SOURCES
from workflow_support.stages.tiles import PROMPTS_IN_BLOCKS, STACKS_IN_BLOCKS
from workflow_support.targets import TARGETS

use_project(workflow.basedir)
STARTED = time.time()
STARTED_HERE = starts_here()
if STARTED_HERE:
    os.environ[STARTED_AT] = str(STARTED)
    # What a plan is made of stays until its end: looking for garbage takes a fifth of the time of a large one.
    gc.disable()

try:
    check_folder(workflow.basedir)
    config, changes = with_changes(config)
    run = Run(config)
    # Jobs parse all this again, and need no second check.
    if STARTED_HERE:
        for key, value in changes.items():
            print(f"params.yaml: {key} is {value}", file=sys.stderr)
        check_run(run)
        atexit.register(run.memory.save)
except ApsamError as error:
    # Not a WorkflowError, which would add this line's place to a message about a configuration or a scene.
    sys.exit(f"error: {error}")


onstart:
    gc.enable()
    try:
        atexit.register(take_lock(Path(STORE)).release)
    except ApsamError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(1)


wildcard_constraints:
    key="[0-9a-f]{12}",
    # A scene, a block of a large one (apsam/tiles/blocks.py), or `all`.
    unit=r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.b[0-9]+)?",
    source="|".join(NETWORKS),


def signed(function):
    """Note a function's signature: Snakemake asks for it with every job, and finding it out takes longer than the call."""
    function.__signature__ = inspect.signature(function)
    return function


def recipe(stage, wildcards):
    """The recipe of a job."""
    return run.recipe_of(stage.format(**wildcards), wildcards.unit, wildcards.key)


def inputs_of(stage):
    """Input: the files of the store that a job reads. Ancient: that they are there decides, not when they were made."""
    return signed(
        lambda wildcards: [ancient(path) for path in recipe(stage, wildcards).inputs]
    )


def outputs_of(stage, files=None, **flags):
    """Outputs: the files that a stage makes, and the recipe next to them.

    `files` names them where `stage` has wildcards; a flag (`report(...)`, `temp`) is put on the output it names.
    """
    folder = f"{STORE}/{stage}/{{unit}}.{{key}}"
    outputs = {}
    for option, file in (files or STAGES[stage].outputs).items():
        name = option.removeprefix("+")
        outputs[name] = flags.get(name, lambda path: path)(f"{folder}/{file}")
    return {
        **outputs,
        "recipe": f"{folder}/recipe.json",
    }


def log_of(stage):
    """Log: where a job writes what it has to say."""
    return f"logs/{stage}/{{unit}}.{{key}}.log"


def command_of(stage):
    """Parameter: the command line of a job."""
    return signed(lambda wildcards, threads: recipe(stage, wildcards).command(threads))


# Threads of a training at most.
MOST_THREADS = 8


def side_by_side(jobs):
    """Threads: this machine's cores shared by `jobs` trainings, which are faster in parallel than one after another."""

    def threads(wildcards):
        try:
            cores = workflow.cores if STARTED_HERE else None
        except Exception:
            # Snakemake's error where `--cores` is not given, as on a cluster.
            cores = None
        return max(1, min(MOST_THREADS, cores // jobs)) if cores else MOST_THREADS

    return signed(threads)


# Priority: of the jobs that the map waits for, before comparisons and measurements; first the longest of them, the localizer,
# and what it and the label map wait for.
MAP_FIRST, NETWORK_FIRST = 1, 2


def more(amount):
    """Resource: `amount`, and as much again with every further attempt, for jobs that ran out of memory or time."""
    return signed(lambda wildcards, attempt: amount * attempt)


def shown(caption, category, **labels):
    """Flag: the output is in Snakemake's own report."""
    return lambda path: report(
        path, caption=f"captions/{caption}.rst", category=category, labels=labels
    )


def wanted(refs):
    """Input of a target: files of the run, given by a function of it."""
    return lambda wildcards: [ancient(run.path(ref)) for ref in refs(run)]


def view(refs):
    """Parameters of a target: the view to update (scripts/view.py), with what the target asks for."""
    return {
        "folder": lambda wildcards: run.folder,
        "files": lambda wildcards: run.view_files(refs(run)),
        "given": lambda wildcards: run.given_digests(),
        "started": STARTED,
    }


UPDATE_VIEW = f"Update {run.folder}"

# Under --software-deployment-method conda (workflow_support/conda_env.py).
ENVIRONMENT = os.path.join(
    workflow.basedir,
    "envs",
    "apsam-cpu.yaml" if run.config.device == "cpu" else "apsam.yaml",
)
