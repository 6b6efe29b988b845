"""Errors that a user can cause and can mend."""


class ApsamError(Exception):
    """Something in the input, the configuration or the machine stops the work.

    The message names what is wrong, where, and what to do; command line tools print it without a traceback and end with
    `exit_code`.
    """

    exit_code = 2


class InputError(ApsamError):
    """A scene, label file, mask or checkpoint that cannot be used as it is."""


class ConfigError(ApsamError):
    """A key or value of the configuration that cannot be used as it is."""


class Stopped(ApsamError):
    """A signal asked the work to stop; the same command goes on where it was."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later
