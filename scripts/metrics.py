"""Measure a run against the true masks: `metrics-masks` the pseudo-masks, `metrics-maps` the ResUNet's maps."""

from apsam.commands.metrics import metrics_maps, metrics_masks
from apsam.commands.run import run

if __name__ == "__main__":
    run(metrics_masks, metrics_maps)
