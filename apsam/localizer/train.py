"""Train a localizer on image-level labels."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from apsam import torchvision_ops  # noqa: F401  (before lightning, which imports torchvision)
from apsam.device import bf16_pays, pick_device, seed_everything
from apsam.errors import ApsamError, InputError
from apsam.files import write_json
from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.data import TEST, TRAIN, EpochOrder, Tiles, TileSet
from apsam.localizer.methods import Batch, Method, build_method
from apsam.localizer.settings import LocalizerSettings

import lightning.pytorch as lightning  # isort: skip

POLY_POWER = 0.9
CALIBRATION_TILES = 64
IGNORED_WARNINGS = (
    ".*does not have many workers.*",  # the tiles are in memory
    ".*module\\(s\\) in eval mode.*",  # frozen batch norms are
    ".*LeafSpec.*deprecated.*",
)


def train_localizer(
    tile_stacks: Sequence[Path],
    settings: LocalizerSettings,
    output: Path,
    history: Path,
    seed: int = 0,
    device: str = "auto",
    offline: Path | None = None,
) -> None:
    """Train on the part-0 tiles of all stacks and write weights and history.

    Only images and image-level labels are read. Part-1 tiles are classified once, after the last epoch, for
    the history; nothing is chosen by them.

    Args:
        tile_stacks: Tile stacks (`image`, `label`, `part`).
        settings: Network, optimizer, augmentation.
        output: Weights to write, `.safetensors`.
        history: JSON to write: losses by epoch, tiles by label, accuracy and AUC of the part-1 tiles.
        seed: Of weights, order and augmentation.
        device: `auto`, `cpu`, `cuda`, ...
        offline: What the offline stage made, for a method that has one.

    Raises:
        InputError: There is no positive or no negative training tile, or the method's offline file is missing.
        ApsamError: The loss is no number any more.
    """
    tiles = TileSet(tile_stacks, TRAIN, settings.memory_mb)
    tiles.require_both_labels()
    where = pick_device(device)
    seed_everything(seed)
    method = build_method(settings)
    if method.offline is not None:
        if offline is None:
            raise InputError(
                f"localizer.method {settings.method} needs {method.offline}: run `apsam localizer-offline`, and give "
                "its output as --offline"
            )
        method.use_offline(offline)
    epochs = fit(method, tiles, seed, where)
    method = method.to(where).eval()
    test = TileSet(tile_stacks, TEST, settings.memory_mb)
    save_localizer(method, output)
    write_json(
        history,
        {
            "schema": 1,
            "settings": settings.model_dump(mode="json"),
            "optimizer": settings.optimizer()._asdict(),
            "seed": seed,
            "tiles": {"train": _count(tiles), "test": _count(test)},
            "epochs": epochs,
            "test": classification(method, test, where),
        },
    )


def fit(method: Method, tiles: TileSet, seed: int, device: torch.device) -> list[dict[str, float]]:
    """Train a method, as its settings say, on all tiles of a set.

    Args:
        method: With its starting weights; trained in place.
        tiles: Training tiles.
        seed: Of order and augmentation.
        device: Where to train.

    Returns:
        Mean losses and last learning rate of every epoch.
    """
    settings = method.settings
    sample = [tiles[index].image for index in list(EpochOrder(tiles.labels, True, seed))[:CALIBRATION_TILES]]
    method.eval().prepare(torch.stack(sample))
    task = LocalizerTask(method.train(), seed)
    order = EpochOrder(tiles.labels, settings.balanced, seed)
    with warnings.catch_warnings():
        for message in IGNORED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        loader = DataLoader(tiles, _batch_size(settings, len(order)), sampler=order, drop_last=True)
        _trainer(device, settings).fit(task, loader)
    return task.epochs


class LocalizerTask(lightning.LightningModule):
    """Binds a method to Lightning: views, losses, optimizer, learning rate."""

    def __init__(self, method: Method, seed: int) -> None:
        super().__init__()
        self.method = method
        self.generator = torch.Generator().manual_seed(seed)
        self.epochs: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Draw the views of a batch where the network is."""
        self.method.advance(self.trainer.global_step / self.trainer.estimated_stepping_batches, self.current_epoch)
        return self.method.views(Tiles(*batch), self.generator)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sum of the method's losses."""
        losses = self.method.training_step(batch)
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.detach()
        return torch.stack(list(losses.values())).sum()

    def on_train_epoch_end(self) -> None:
        """Note the mean losses of the epoch, and stop where they are no numbers."""
        steps = self.trainer.num_training_batches
        row = {name: round(float(total) / steps, 6) for name, total in sorted(self._sums.items())}
        self._sums = {}
        number, last = self.current_epoch + 1, self.trainer.max_epochs
        if not all(np.isfinite(list(row.values()))):
            raise ApsamError(
                f"localizer: the loss is no number in epoch {number}; lower localizer.learning_rate "
                f"(it is {self.method.settings.optimizer().learning_rate}) or choose recipe 'stable'"
            )
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.epochs.append({"epoch": number, "learning_rate": rate, **row})
        text = ", ".join(f"{name} {value:.4f}" for name, value in row.items())
        print(f"localizer: epoch {number}/{last}, {text}", file=sys.stderr, flush=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """SGD, with a rate that is set anew at every step."""
        settings = self.method.settings
        optimizer = settings.optimizer()
        sgd = torch.optim.SGD(
            self.method.parameter_groups(optimizer),
            lr=optimizer.learning_rate,
            momentum=optimizer.momentum,
            weight_decay=optimizer.weight_decay,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(sgd, lambda step: rate_factor(step, steps, settings))
        return {"optimizer": sgd, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_factor(step: int, steps: int, settings: LocalizerSettings) -> float:
    """What the learning rate is multiplied with at `step` of `steps`: warm-up, then the recipe's decay."""
    warmup = min(settings.warmup_steps, steps // 4)
    rise = min(1.0, (step + 1) / (warmup + 1))
    done = min(1.0, step / steps)
    if settings.optimizer().decay == "poly":
        return rise * (1 - done) ** POLY_POWER
    return rise * settings.decay_factor ** sum(done >= milestone for milestone in settings.milestones)


@torch.no_grad()
def classification(method: Method, tiles: TileSet, device: torch.device) -> dict[str, float | None]:
    """Accuracy at logit 0 and area under the ROC curve of image-level labels; None where it is undefined."""
    if not len(tiles):
        return {"accuracy": None, "auc": None}
    logits = []
    for images, _, _ in DataLoader(tiles, 32):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16_pays(device)):
            logits.append(method.logits(images.to(device)).float().cpu())
    return classification_figures(torch.cat(logits).numpy(), tiles.labels)


def classification_figures(logits: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Accuracy of `logits > 0`, and the share of (positive, negative) pairs in the right order, ties half."""
    positive, negative = logits[labels == 1], logits[labels == 0]
    accuracy = float(((logits > 0) == (labels == 1)).mean())
    if not len(positive) or not len(negative):
        return {"accuracy": round(accuracy, 6), "auc": None}
    ordered = np.sort(negative)
    wins = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return {"accuracy": round(accuracy, 6), "auc": round(float(wins.mean() / (2 * len(ordered))), 6)}


def _trainer(device: torch.device, settings: LocalizerSettings) -> lightning.Trainer:
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    accelerator = {"cuda": "gpu", "mps": "mps"}.get(device.type, "cpu")
    return lightning.Trainer(
        max_epochs=settings.epochs,
        accelerator=accelerator,
        devices=1 if accelerator == "cpu" or device.index is None else [device.index],
        precision="bf16-mixed" if bf16_pays(device) else "32-true",
        gradient_clip_val=settings.gradient_clip or None,
        deterministic="warn",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _batch_size(settings: LocalizerSettings, epoch: int) -> int:
    """The configured size, or the largest that still gives an epoch one step."""
    return max(1, min(settings.batch_size, epoch))


def _count(tiles: TileSet) -> dict[str, int]:
    return {"positive": int((tiles.labels == 1).sum()), "negative": int((tiles.labels == 0).sum())}
