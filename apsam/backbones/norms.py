"""Batch norms of a network, also in a training on several GPUs, which replaces those that learn statistics."""

from __future__ import annotations

from torch import nn

# A training on several GPUs replaces a BatchNorm2d by a SyncBatchNorm, which is no subclass (`apsam.training.norms`).
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


def norm_names(module: nn.Module) -> list[str]:
    """Return the names of all batch norms in a module."""
    return [name for name, part in module.named_modules() if isinstance(part, NORMS)]
