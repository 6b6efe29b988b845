"""Run commands: what a user can mend is told in one message, everything else keeps its traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import typer

from apsam.errors import ApsamError


def run(*commands: Callable[..., None]) -> None:
    """Run one command, or the one of several that the first argument names, with the arguments of this process."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=len(commands) > 1)
    for command in commands:
        app.command()(command)
    run_app(app)


def run_app(app: Any) -> None:
    """Run a typer application; end the process with the message and the exit code of an `ApsamError`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        app()
    except ApsamError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
