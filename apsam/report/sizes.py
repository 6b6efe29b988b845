"""Area-frequency curves of landslides in reference masks and maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from apsam.report.charts import Line, line_chart
from apsam.report.inputs import SOURCE_NAMES
from apsam.report.tables import rows_of


def area_frequency_lines(objects: dict[str, Any]) -> list[Line]:
    """Curves of held-out scenes, all scenes together: the reference, then each map. Both axes are decimal logarithms.

    Args:
        objects: `metrics/objects.json`.
    """
    rows = [row for row in rows_of(objects) if row["part"] == "test" and row.get("frequency", {}).get("least_m2")]
    sources = [source for source in SOURCE_NAMES if any(row["source"] == source for row in rows)]
    lines = []
    for name, source, key in [("reference", None, "reference"), *((s, s, "mapped") for s in sources)]:
        # The reference is the same for all maps.
        chosen = [row["frequency"] for row in rows if row["source"] == (source or sources[0])]
        limits = sorted({limit for one in chosen for limit in one["least_m2"]})
        counts = np.array([sum(_count(one, limit, key) for one in chosen) for limit in limits])
        some = counts > 0
        if some.any():
            x, y = np.log10(limits)[some], np.log10(counts[some])
            lines.append(Line(SOURCE_NAMES.get(name, "Reference"), x.round(3).tolist(), y.tolist()))
    return lines


def area_frequency_chart(objects: dict[str, Any]) -> tuple[list[Line], Markup] | None:
    """The curves with their chart; None where no landslide was counted."""
    lines = area_frequency_lines(objects)
    if not lines:
        return None
    largest = "; ".join(f"{line.name}: {10 ** line.y[0]:.0f} landslides" for line in lines)
    about = f"Number of landslides by least area, {largest}"
    return lines, line_chart(lines, "area at least, m² (power of ten)", "landslides (power of ten)", about)


def _count(frequency: dict[str, list[float]], limit: float, key: str) -> float:
    """Landslides at least as large as a limit; limits of all scenes lie on one grid."""
    limits = frequency["least_m2"]
    if limit < limits[0]:
        return frequency[key][0]
    return frequency[key][limits.index(limit)] if limit in limits else 0
