"""Length of a training, in epochs. Does not import torch."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal

from pydantic import Field

Epochs = Annotated[int, Field(ge=1, le=1000)] | Literal["auto"]

AUTO_EPOCHS = 8
# Steps of the demo's trainings in `AUTO_EPOCHS` epochs of its 256 training tiles, rounded down.
LOCALIZER_STEPS = 100
RESUNET_STEPS = 250
# Networks on label maps: as good after 150 steps as after 600 on one scene of 135 tiles (pixel AUC 0.86 both).
HEATMAP_STEPS = 150


def num_epochs(epochs: Epochs, steps_a_pass: int, least_steps: int) -> int:
    """Return the number of epochs: as set, or, with `auto`, `AUTO_EPOCHS` and at least `least_steps` steps.

    The result depends on the number of steps: the same epochs over half as many tiles are half the training.

    Args:
        epochs: As configured.
        steps_a_pass: Batches per epoch, at least 1.
        least_steps: Minimum number of steps with `auto`.
    """
    if epochs != "auto":
        return epochs
    return max(AUTO_EPOCHS, ceil(least_steps / steps_a_pass))


def in_words(epochs: Epochs, least_steps: int) -> str:
    """Format for a report: `8 epochs`."""
    return f"at least {AUTO_EPOCHS} epochs and {least_steps} steps" if epochs == "auto" else f"{epochs} epochs"
