"""Evaluate a run: `metrics-localizer` the localizer, `metrics-masks` pseudo-masks, `metrics-maps` maps.

`metrics-objects` counts landslides of maps one by one, `metrics-summary` makes one table of masks and maps,
`metrics-checks` needs no reference mask.
"""

from apsam.commands.metrics import (
    metrics_checks,
    metrics_localizer,
    metrics_maps,
    metrics_masks,
    metrics_objects,
    metrics_summary,
)
from apsam.commands.run import run

if __name__ == "__main__":
    run(metrics_localizer, metrics_masks, metrics_maps, metrics_summary, metrics_objects, metrics_checks)
