# What all rules share: the run, places of its files, the environment of its jobs.
import inspect
import sys

from snakemake_interface_executor_plugins.settings import ExecMode

# The code beside this Snakefile is the code that runs, also in a copy of the project (a clone, `dvc exp run --temp`).
sys.path.insert(0, workflow.basedir)

from apsam.errors import ApsamError
from apsam.localizer.method_settings import OFFLINE_FILES
from workflow_support.code_hashes import code_hashes
from workflow_support.changes import with_changes
from workflow_support.environment import use_project
from workflow_support.hashes import command_hash, page_hash
from workflow_support.run import Run
from workflow_support.scheduler import spare_scheduler
from workflow_support.variants import FOLDER, NAME

use_project(workflow.basedir)

try:
    config, changes = with_changes(config)
    run = Run(config)
    if workflow.exec_mode == ExecMode.DEFAULT:
        for key, value in changes.items():
            print(f"params.yaml: {key} is {value}", file=sys.stderr)
        run.check_inputs()
except ApsamError as error:
    # Not a WorkflowError, which would add this line's place to a message about a configuration or a scene.
    sys.exit(f"error: {error}")


onstart:
    spare_scheduler(workflow.scheduler)
    # Jobs parse all this again, and need not read all source again.
    code_hashes().save()


pathvars:
    results=run.folder,
    logs=run.logs,
    benchmarks=run.benchmarks,


wildcard_constraints:
    scene=r"[A-Za-z0-9][A-Za-z0-9_-]*(?<!_mask)(?<!_probability)",
    source="apsam|cam|grabcut|cam_agreed|box|truth",
    offline="|".join(OFFLINE_FILES.values()).replace(".", r"\."),
    # A scene, or a block of a large one (apsam/tiles/blocks.py).
    unit=r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.b[0-9]+)?",
    # Empty for the run's own files (workflow_support/variants.py).
    variant=f"(?:{FOLDER}/{NAME}/)?",


# What SAM's masks, and the CAM baseline, become when a ResUNet is trained on them.
TRAINED = ["apsam", "cam"]
SOURCES = [*TRAINED, "grabcut"]
METRICS = ["<results>/metrics/pseudo_masks.json", "<results>/metrics/resunet.json"]


def signed(function):
    """Note a function's signature: Snakemake asks for it with every job, and finding it out takes longer than the call."""
    function.__signature__ = inspect.signature(function)
    return function


def at(path, **values):
    """Input function: a file of the job's variant, where that finds it; one for each of `values` where they are given."""

    @signed
    def places(wildcards):
        known = dict(wildcards.items())
        paths = expand(path, **values, **known) if values else path.format(**known)
        place = lambda one: run.place(one, wildcards.variant)
        return [place(one) for one in paths] if values else place(paths)

    return places


def blocks_at(path, wildcards):
    """The files of a scene's blocks, of the job's variant."""
    known = dict(wildcards.items())
    return [
        run.place(path.format(unit=unit, **known), wildcards.variant)
        for unit in run.units(wildcards.scene)
    ]


def unless_kept(path):
    """Output that is deleted once nothing in the run reads it, if the configuration says so."""
    return path if run.config.keep_embeddings else temp(path)


def of_variant(method, *arguments):
    """Function of the wildcards: a method of `run`, asked for the job's variant."""
    return signed(lambda wildcards: method(*arguments, wildcards.variant))


def settings(section):
    """Parameter: a section of the configuration of the job's variant."""
    return of_variant(run.settings, section)


def sheet(measured):
    """Parameter: the scene sheet, and what the masks of these scenes hold that are no inputs."""
    return signed(lambda wildcards: run.sheet(measured))


def more(amount):
    """Resource: `amount`, and as much again with every further attempt, for jobs that ran out of memory or time."""
    return signed(lambda wildcards, attempt: amount * attempt)


def experiment_table(name, variant="{variant}"):
    """The table of an experiment, as JSON."""
    return f"<results>/{variant}experiments/{name}.json"


def experiment_files(name, variant="{variant}"):
    """What lies beside it: the table as CSV, the figure as PNG and SVG. CSV and PNG are in Snakemake's report."""
    base = f"<results>/{variant}experiments/{name}"
    shown = lambda suffix, kind: report(
        f"{base}.{suffix}",
        caption="captions/experiments.rst",
        category="Experiments",
        labels={"experiment": name, "kind": kind},
    )
    return [shown("csv", "table"), shown("png", "figure"), f"{base}.svg"]


# The scenes that are worked on in blocks, for rules that only they have ("-" is nobody's name).
IN_BLOCKS = "|".join(run.in_blocks) or "-"
IN_BANDS = "|".join(run.in_bands) or "-"

# Where to compute changes no result, so it must not be compared: Snakemake skips functions of `threads`.
DEVICE = signed(lambda wildcards, threads: run.config.device)
# Under --software-deployment-method conda (workflow_support/conda_env.py).
ENVIRONMENT = (
    "../envs/apsam-cpu.yaml" if run.config.device == "cpu" else "../envs/apsam.yaml"
)
