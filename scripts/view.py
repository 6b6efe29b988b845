"""Update the view of a run, results/<run>/, and print the paths of the results."""

import os
import sys

sys.path.insert(0, os.getcwd())

from workflow_support.view import show  # noqa: E402

show(**snakemake.params, log=snakemake.log[0])  # noqa: F821
