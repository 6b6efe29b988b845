"""Share the statistics of batch norms over the GPUs of a training."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from apsam import torchvision_ops  # noqa: F401  (before lightning, which imports torchvision)

from lightning.pytorch.plugins import LayerSync  # isort: skip


class SyncLearnedNorms(LayerSync):
    """Let batch norms that learn their statistics compute them over all GPUs, during the training.

    Lightning's own plugin replaces frozen batch norms too, which need no exchange, and leaves another class behind.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Replace every batch norm in training mode; names, parameters and buffers stay. Returns the same model."""
        for parent, name, norm in _children(model):
            if isinstance(norm, nn.BatchNorm2d) and norm.training:
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(norm))
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Put batch norms in place of those that `apply` made. Returns the same model."""
        for parent, name, norm in _children(model):
            if isinstance(norm, nn.SyncBatchNorm):
                plain = nn.BatchNorm2d(
                    norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
                )
                plain.weight, plain.bias = norm.weight, norm.bias
                plain.running_mean, plain.running_var = norm.running_mean, norm.running_var
                plain.num_batches_tracked = norm.num_batches_tracked
                setattr(parent, name, plain.train(norm.training))
        return model


def _children(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Yield parent, name and child of all submodules."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            yield parent, name, child
