"""Run commands: errors that a user can fix are printed as one message; all others keep their traceback."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from apsam.errors import ApsamError, ConfigError, OutputError
from apsam.extras import missing_extra
from apsam.store.job import job_arguments


def run(*commands: Callable[..., None]) -> None:
    """Run one command, or the one of several that the first argument names, with the arguments of this process.

    In a job of the workflow, its recipe is written next to its outputs (`apsam.store.job`).
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=len(commands) > 1)
    for command in commands:
        app.command()(command)
    run_app(app, as_job=True)


def run_app(app: Any, as_job: bool = False) -> None:
    """Run a typer application; end the process with the message and the exit code of an `ApsamError`.

    Other system errors (such as an unreadable file) are reported in one line too.
    """
    # A path that the terminal's locale cannot encode is printed with escapes, instead of stopping the run.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.getfilesystemencoding() != "utf-8" and not all(map(str.isascii, sys.argv)):
        _end(
            f"the locale spells paths in {sys.getfilesystemencoding()}, GDAL in UTF-8, so such paths are not "
            f"found; set PYTHONUTF8=1, or a locale such as C.UTF-8",
            ConfigError.exit_code,
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Rasterio logs messages of GDAL, whose errors are reported here.
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    try:
        if as_job:
            _run_job(app)
        else:
            app()
    except ApsamError as error:
        _end(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if (named := missing_extra(error)) is None:
            raise
        _end(str(named), named.exit_code)
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        _end(f"{os.fsdecode(error.filename)}: {error.strerror}", OutputError.exit_code)


def _run_job(app: typer.Typer) -> None:
    with job_arguments(sys.argv[1:]) as arguments:
        try:
            app(arguments)
        except SystemExit as ended:
            # Typer ends the process also after a success; the recipe is written afterwards.
            if ended.code:
                raise


def _end(message: str, code: int) -> NoReturn:
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
