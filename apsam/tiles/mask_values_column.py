"""The column `mask_values` of the scene sheet: which values of a mask are landslide."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from apsam.errors import ConfigError

HOW_TO_SAY = (
    "say it in the column 'mask_values' of the scene sheet (apsam tile: --mask-values): '1' or '1,2' (these are "
    "landslide, others are not), '1=landslide 255=unknown', or '>=0.5'"
)

PAIR = re.compile(r"(?P<value>[-+.\de]+)\s*=\s*(?P<meaning>landslide|none|unknown)")
LIMIT = re.compile(r"(?P<sign>>=|>)\s*(?P<value>[-+.\de]+)")


@dataclass(frozen=True)
class MaskValues:
    """Parsed `mask_values`: values that are landslide, not landslide, unknown; or a lower limit of landslide values.

    With a limit, `landslide` is empty, and `none` and `unknown` are exceptions from it.
    """

    landslide: frozenset[float] = frozenset()
    none: frozenset[float] = frozenset()
    unknown: frozenset[float] = frozenset()
    limit: float | None = None
    above: bool = False


def parse_mask_values(text: str) -> MaskValues:
    """Read `mask_values`: `1,2`, `1=landslide 255=unknown`, `>=0.5 -1=unknown`.

    Raises:
        ConfigError: It has another form, gives two meanings to one value, or names landslide values in addition to a
            limit, or a second limit.
    """
    rest = text.strip().strip("'\"").lower()
    found: dict[str, set[float]] = {"landslide": set(), "none": set(), "unknown": set()}
    limits: list[tuple[float, bool]] = []
    try:
        for pair in PAIR.finditer(rest):
            found[pair["meaning"]].add(float(pair["value"]))
        rest = PAIR.sub(" ", rest)
        for match in LIMIT.finditer(rest):
            limits.append((float(match["value"]), match["sign"] == ">"))
        rest = LIMIT.sub(" ", rest)
        found["landslide"] |= {float(value) for value in re.split(r"[,\s]+", rest) if value}
    except ValueError:
        raise ConfigError(f"mask_values '{text}' cannot be read; {HOW_TO_SAY}") from None
    if len(limits) > 1:
        raise ConfigError(f"mask_values '{text}' has {len(limits)} limits; give the lowest landslide value only")
    if limits and found["landslide"]:
        raise ConfigError(
            f"mask_values '{text}' has a limit and the landslide value(s) {in_order(found['landslide'])}; give either "
            f"the limit or the values, and write decimals with a point ('>=0.5')"
        )
    limit, above = limits[0] if limits else (None, False)
    if not any(found.values()) and limit is None:
        raise ConfigError(f"mask_values '{text}' is empty; {HOW_TO_SAY}")
    landslide, none, unknown = (frozenset(found[key]) for key in ("landslide", "none", "unknown"))
    if twice := (landslide & none) | (landslide & unknown) | (none & unknown):
        raise ConfigError(f"mask_values '{text}' says two things of the value {in_order(twice)}")
    return MaskValues(landslide, none, unknown, limit, above)


def in_order(values: Iterable[float]) -> str:
    """Values in order, for a message."""
    return ", ".join(f"{value:g}" for value in sorted(values))
