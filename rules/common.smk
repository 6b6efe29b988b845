# What all rules share: the run, places of its files, the environment of its jobs.
import sys

from snakemake_interface_executor_plugins.settings import ExecMode

# The code beside this Snakefile is the code that runs, also in a copy of the project (a clone, `dvc exp run --temp`).
sys.path.insert(0, workflow.basedir)

from apsam.errors import ApsamError
from workflow_support.environment import use_project
from workflow_support.run import Run, command_hash, page_hash

use_project(workflow.basedir)

try:
    run = Run(config)
    if workflow.exec_mode == ExecMode.DEFAULT:
        run.check_inputs()
except ApsamError as error:
    # Not a WorkflowError, which would add this line's place to a message about a configuration or a scene.
    sys.exit(f"error: {error}")


pathvars:
    results=run.folder,
    logs=run.logs,
    benchmarks=run.benchmarks,


wildcard_constraints:
    scene=r"[A-Za-z0-9][A-Za-z0-9_-]*(?<!_mask)(?<!_probability)",
    source="apsam|cam|grabcut",


# What SAM's masks, and the CAM baseline, become when a ResUNet is trained on them.
TRAINED = ["apsam", "cam"]
SOURCES = [*TRAINED, "grabcut"]

# Where to compute changes no result, so it must not be compared: Snakemake skips functions of `threads`.
DEVICE = lambda wildcards, threads: run.config.device
ENVIRONMENT = "../envs/apsam.yaml"
