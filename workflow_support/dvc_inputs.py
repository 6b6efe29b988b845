"""Write the hashes of all data that the configuration names, for DVC, which must detect a change of any of them.

python -m workflow_support.dvc_inputs results/store/given/demo.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from apsam.config import read_config
from workflow_support.changes import with_changes
from workflow_support.input_digests import write_given
from workflow_support.run import Run


def main() -> None:
    """Write the hashes of all input data as JSON."""
    config, _ = with_changes(read_config(Path("config.yaml")).model_dump(mode="json"))
    run = Run(config)
    write_given(Path(sys.argv[1]), run.given_digests())
    run.memory.save()


if __name__ == "__main__":
    main()
