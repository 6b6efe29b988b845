"""Run commands: what a user can mend is told in one message, everything else keeps its traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import typer

from apsam.errors import ApsamError
from apsam.store.job import job_arguments


def run(*commands: Callable[..., None]) -> None:
    """Run one command, or the one of several that the first argument names, with the arguments of this process.

    As a job of the workflow it leaves its recipe beside its outputs (`apsam.store.job`).
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=len(commands) > 1)
    for command in commands:
        app.command()(command)
    run_app(app, as_job=True)


def run_app(app: typer.Typer, as_job: bool = False) -> None:
    """Run a typer application; end the process with the message and the exit code of an `ApsamError`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if as_job:
            _run_job(app)
        else:
            app()
    except ApsamError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _run_job(app: typer.Typer) -> None:
    with job_arguments(sys.argv[1:]) as arguments:
        try:
            app(arguments)
        except SystemExit as ended:
            # Typer ends the process also after a success; the recipe is written after it.
            if ended.code:
                raise
