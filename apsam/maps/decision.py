"""The threshold of a map with the highest expected F1, computed without labels and masks.

At 0.5 a calibrated network has the fewest wrong pixels. If it is uncertain about most landslides, as on a scene unlike
the training scenes, this misses most of them. F1 is highest at half of the highest F1 that can be reached,
which is below 0.5 (Lipton, Elkan and Naryanaswamy, ECML PKDD 2014). With probabilities p the expected F1 at t is
2 * sum(p where p >= t) / (number of p >= t + sum(p)), and its maximum is found from the map's histogram. It needs
calibrated probabilities: a network trained with plain BCE (`resunet.loss: bce`), not with soft dice.

The rule always finds a threshold. On ground without landslides it is that of the noise, and the highest expected F1 is
low: the network itself says that there is probably nothing to find.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from apsam.errors import InputError
from apsam.maps.cog import NO_DATA, STEPS, MapWriter

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 512
# A map whose highest expected F1 is below this probably shows no landslide: a convention.
LOW_F1 = 0.3


@dataclass(frozen=True)
class Decision:
    """The threshold of a map with the highest expected F1.

    Attributes:
        threshold: A multiple of 1/250.
        expected_f1: F1 expected there; 0 for a map without any pixel above probability 0.
    """

    threshold: float
    expected_f1: float


def low_f1_warning(expected_f1: float) -> str | None:
    """Return a warning if the highest expected F1 of a map is low; None if it is not, or if the mask is empty."""
    if not 0 < expected_f1 < LOW_F1:
        return None
    return (
        f"the highest expected F1 of the map is {expected_f1:.2f}: by its own probabilities there is probably no "
        f"landslide to find, and its mask shows noise; do not use it, or set a threshold (ground.decision: threshold)"
    )


def decide(histogram: np.ndarray) -> Decision:
    """Return the threshold with the highest expected F1.

    Of thresholds with no pixel between, which give one mask, it is the middle one: a map can change most there
    before the mask does.

    Args:
        histogram: (251,) pixels of each stored probability, in steps of 1/250.

    Returns:
        The decision; threshold 0.5 for a map without any pixel above probability 0.
    """
    probability = np.arange(STEPS + 1) / STEPS
    found = np.cumsum(histogram[::-1].astype(np.float64))[::-1]
    right = np.cumsum((histogram * probability)[::-1])[::-1]
    if right[0] == 0:
        return Decision(0.5, 0.0)
    expected = 2 * right[1:] / (found[1:] + right[0])
    lowest = int(np.argmax(expected)) + 1
    highest = lowest + int(np.argmax(histogram[lowest:] > 0))
    return Decision((lowest + highest) // 2 / STEPS, float(expected[lowest - 1]))


def map_histogram(probability: Path) -> np.ndarray:
    """Return (251,) int64, pixels of each stored probability of a map, without no-data pixels.

    Raises:
        InputError: It is not a map of probabilities.
    """
    counts = np.zeros(256, np.int64)
    with rasterio.open(probability) as raster:
        if raster.dtypes[0] != "uint8" or not np.isclose(raster.scales[0], 1 / STEPS):
            raise InputError(f"{probability}: not a map of probabilities of apsam; predict again")
        for top in range(0, raster.height, ROWS_AT_ONCE):
            window = Window(0, top, raster.width, min(ROWS_AT_ONCE, raster.height - top))
            counts += np.bincount(raster.read(1, window=window).ravel(), minlength=256)
    return counts[: STEPS + 1]


def write_decided_mask(probability: Path, mask: Path) -> None:
    """Write the mask of a map at the threshold with the highest expected F1, and log it.

    Raises:
        InputError: It is not a map of probabilities.
    """
    decision = decide(map_histogram(probability))
    log.info("%s: threshold %g, expected F1 %.2f", mask.name, decision.threshold, decision.expected_f1)
    if warning := low_f1_warning(decision.expected_f1):
        log.warning("%s: %s", mask.name, warning)
    write_mask(probability, decision.threshold, mask)


def write_mask(probability: Path, threshold: float, mask: Path) -> None:
    """Write the mask of a map at another threshold: a COG {0, 1}, 255 no data, with the map's tags."""
    with rasterio.open(probability) as raster:
        tags = {key: value for key, value in raster.tags().items() if key.startswith("APSAM_")}
        tags["APSAM_THRESHOLD"] = f"{threshold:g}"
        with MapWriter(mask, "mask", raster.height, raster.width, raster.crs, raster.transform, tags) as writer:
            for top in range(0, raster.height, ROWS_AT_ONCE):
                window = Window(0, top, raster.width, min(ROWS_AT_ONCE, raster.height - top))
                steps = raster.read(1, window=window)
                found = steps >= threshold * STEPS - 1e-9
                writer.write(top, np.where(steps == NO_DATA, NO_DATA, found).astype(np.uint8))
