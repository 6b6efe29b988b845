"""What Snakemake would take from its command line in silence, and not as it was meant.

Of a key that occurs twice in a configuration file, the first value is lost: the files are read before Snakemake merges
them. `--forcerun` takes the place of what profiles/default forces.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from apsam.config_values import read_values
from apsam.errors import ConfigError

# The file that the Snakefile names.
DEFAULT_FILE = Path("config.yaml")
# The rule of plain names, which profiles/default forces.
VIEW_FILE = "view_file"


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
    parser = _parser()
    parser.add_argument("--configfile", "--configfiles", nargs="+", type=Path, default=[])
    # Not to be taken for an abbreviation of the other.
    parser.add_argument("--config", "-C", nargs="*")
    try:
        return list(parser.parse_known_args(list(arguments))[0].configfile)
    except (argparse.ArgumentError, SystemExit):
        return []


def check_forced(arguments: Sequence[str], folder: str) -> None:
    """Raise ConfigError where a plain name is a target, but `--forcerun` leaves out the rule that updates it.

    The file of another configuration, if there is one, would stay.

    Args:
        arguments: The command line of Snakemake, without its first word.
        folder: The view of the run.
    """
    parser = _parser()
    parser.add_argument("--forcerun", "-R", nargs="*")
    # Not to be taken for abbreviations of it.
    parser.add_argument("--force", "-f", "--forceall", "-F", action="store_true")
    try:
        options, others = parser.parse_known_args(list(arguments))
    except (argparse.ArgumentError, SystemExit):
        return
    if options.forcerun is None or options.force or VIEW_FILE in options.forcerun:
        return
    # Snakemake forces files by name too.
    target = next((one for one in others if one.startswith(f"{folder}/") and one not in options.forcerun), None)
    if target is not None:
        raise ConfigError(
            f"{target}: would stay as it is, also where it is of another configuration, because --forcerun takes the "
            f"place of what profiles/default forces; add {VIEW_FILE} to --forcerun"
        )


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(add_help=False, exit_on_error=False)
