"""Measure a run: `metrics-localizer` the localizer, `metrics-masks` pseudo-masks, `metrics-maps`
maps, `metrics-summary` the latter two in one table."""

from apsam.commands.metrics import metrics_localizer, metrics_maps, metrics_masks, metrics_summary
from apsam.commands.run import run

if __name__ == "__main__":
    run(metrics_localizer, metrics_masks, metrics_maps, metrics_summary)
