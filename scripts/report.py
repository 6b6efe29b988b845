"""Make the report of a run: one HTML file, and next to it figures for a paper and the configuration."""

from apsam.commands.report import report
from apsam.commands.run import run

if __name__ == "__main__":
    run(report)
