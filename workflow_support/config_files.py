"""The configuration files that Snakemake was given, read before it merged them: of a key that occurs twice in one, the
first value would be lost in silence."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from apsam.config_values import read_values

# The file that the Snakefile names.
DEFAULT_FILE = Path("config.yaml")


def check_config_files(arguments: Sequence[str]) -> None:
    """Raise ConfigError where a key occurs twice in config.yaml, or in a file that Snakemake's command line names.

    Files that a profile names are not looked at: Snakemake documents no way to ask for them.

    Args:
        arguments: The command line of Snakemake, without its first word.
    """
    for file in [DEFAULT_FILE, *files_of_command_line(arguments)]:
        if file.is_file():
            read_values(file)


def files_of_command_line(arguments: Sequence[str]) -> list[Path]:
    """The files after Snakemake's option `--configfile` (also `--configfiles`, `--configfile=FILE`)."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", type=Path, default=[])
    # Not to be taken for an abbreviation of the other.
    parser.add_argument("--config", "-C", nargs="*")
    try:
        return list(parser.parse_known_args(list(arguments))[0].configfile)
    except (argparse.ArgumentError, SystemExit):
        return []
