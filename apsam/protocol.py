"""Which protocol a configuration's figures are of. It follows from the settings: no one can forget to say it.

`held_out`: nothing that is measured as test was trained on, and no reference mask chooses or spares anything.
`as_released`: a setting takes over from the paper's released code what makes figures say more than they show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apsam.config import Config

HELD_OUT, AS_RELEASED = "held_out", "as_released"


def released_settings(config: Config) -> list[str]:
    """Settings of a configuration, `key: value`, whose figures are not held-out figures."""
    found = []
    if config.masks.join == "add":
        found.append("masks.join: add")
    if config.resunet.keep != "last":
        found.append(f"resunet.keep: {config.resunet.keep}")
    return found


def protocol_of(config: Config) -> str:
    """`held_out`, or `as_released` where a setting asks for it."""
    return AS_RELEASED if released_settings(config) else HELD_OUT
