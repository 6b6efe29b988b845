"""Protocol of a configuration's metrics. It follows from the settings, so it cannot be set wrongly.

`held_out`: test data are not used for training, and reference masks are not used for selection.
`as_released`: a setting uses a choice of the paper's released code that inflates metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apsam.config import Config

HELD_OUT, AS_RELEASED = "held_out", "as_released"


def released_settings(config: Config) -> list[str]:
    """Return the settings of a configuration, `key: value`, that make its metrics `as_released`."""
    found = []
    if config.masks.join == "add":
        found.append("masks.join: add")
    if config.resunet.keep != "last":
        found.append(f"resunet.keep: {config.resunet.keep}")
    return found


def protocol_of(config: Config) -> str:
    """Return `held_out`, or `as_released` if a setting requires it."""
    return AS_RELEASED if released_settings(config) else HELD_OUT
