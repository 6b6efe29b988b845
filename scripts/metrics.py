"""Measure a run against the true masks: `metrics-masks` pseudo-masks, `metrics-maps` maps, `metrics-summary` both."""

from apsam.commands.metrics import metrics_maps, metrics_masks, metrics_summary
from apsam.commands.run import run

if __name__ == "__main__":
    run(metrics_masks, metrics_maps, metrics_summary)
