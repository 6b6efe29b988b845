"""Run every benchmark of docs/performance.md (or those named) and write their tables there.

python -m benchmarks                       all, with their default sizes: some 20 minutes on two cores
python -m benchmarks --short               all with small sizes: a few minutes
python -m benchmarks decode sweep          these two
python -m benchmarks encode floor --device cuda --sam vit_h      on a GPU
python -m benchmarks.gpu                   all tables of a GPU, in 8 minutes of its time
python -m benchmarks --tables              only the tables, from earlier measurements
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.tables import write_all_tables

# In the document's order. `bench_country` and `bench_workflow` are those of docs/scaling.md, `bench_sams` is that of
# docs/sam.md, `bench_demo` runs the whole workflow: they are run separately.
NAMES = ("encode", "floor", "compile", "backbone", "windows", "decode", "sweep", "train", "store", "memory", "report")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(NAMES))
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    # Other arguments are passed on to the benchmarks.
    arguments, options = parser.parse_known_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(NAMES)}")
    failed: list[str] = []
    if not arguments.tables:
        # A failing benchmark must not stop the others.
        failed = [name for name in arguments.names or NAMES if _fails(name, options)]
    write_all_tables()
    if failed:
        sys.exit(f"failed, see above: {', '.join(failed)}")


def _fails(name: str, options: Sequence[str]) -> bool:
    return subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}", *options], check=False).returncode != 0


if __name__ == "__main__":
    main()
