"""Train a localizer on image-level labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from apsam.code_hash import code_hash
from apsam.conditions import conditions_of
from apsam.device import pick_device, seed_everything
from apsam.errors import InputError
from apsam.files import sha256_file, write_json
from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.data import TRAIN, EpochOrder, Tiles, TileSet
from apsam.localizer.method_code import method_code
from apsam.localizer.method_settings import OFFLINE_FILES
from apsam.localizer.methods import Batch, Method, build_method
from apsam.localizer.settings import LocalizerSettings
from apsam.training.batches import Batches
from apsam.training.length import LOCALIZER_STEPS, num_epochs
from apsam.training.resume import Checkpoint, training_key
from apsam.training.task import Task
from apsam.training.trainer import own_device, run

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

POLY_POWER = 0.9
CALIBRATION_TILES = 64


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

    Only images and image-level labels are read. A training that was stopped resumes after its last complete epoch.

    Args:
        tile_stacks: Tile stacks (`image`, `label`, `part`).
        settings: Network, optimizer, augmentation.
        output: Weights to write, `.safetensors`.
        history: JSON to write: losses by epoch, tiles by label.
        seed: Of weights, order and augmentation.
        device: `auto` (one GPU if there is one), `cpu`, `cuda` (all GPUs that the process sees), `cuda:1`.
        offline: File made by the offline stage, for a method that has one.

    Raises:
        InputError: There is no positive or no negative training tile, or the method's offline file is missing.
        ApsamError: Training diverged: the loss is NaN or infinite.
        Interrupted: A signal stopped the training.
    """
    tiles = TileSet(tile_stacks, TRAIN, settings.memory_mb)
    tiles.require_both_labels()
    where = pick_device(device)
    seed_everything(seed)
    method = build_method(settings)
    if settings.method in OFFLINE_FILES:
        if offline is None:
            raise InputError(
                f"localizer.method {settings.method} needs {OFFLINE_FILES[settings.method]}: run "
                "`apsam localizer-offline`, and give its output as --offline"
            )
        method.use_offline(offline, len(tiles), own_device(where))
    code = [code_hash(Path(__file__), definition="train_localizer"), method_code(settings.method)]
    checkpoint = checkpoint_of(output, tiles, settings, seed, code, offline)
    task = fit(method, tiles, seed, where, checkpoint)
    if task.global_rank != 0:
        return
    save_localizer(method.eval(), output, conditions=conditions_of(tile_stacks))
    write_json(
        history,
        {
            "schema": 1,
            "settings": settings.model_dump(mode="json"),
            "optimizer": settings.optimizer()._asdict(),
            "seed": seed,
            "tiles": _count(tiles),
            "epochs": task.epochs,
        },
    )
    checkpoint.remove()


def checkpoint_of(
    output: Path, tiles: TileSet, settings: LocalizerSettings, seed: int, code: list[str], offline: Path | None = None
) -> Checkpoint:
    """Return the checkpoint of a training of `fit`, which is resumed if nothing that its result depends on changed.

    Args:
        output: The result; the checkpoint is next to it.
        tiles: Training tiles.
        settings: The section `localizer`.
        seed: Of all random numbers.
        code: Hashes of the code that trains.
        offline: File of the offline stage, if the training reads one.
    """
    facts = {"settings": settings.model_dump(mode="json"), "seed": seed, "code": code}
    others: list[Path | str] = [
        *([settings.weights] if settings.weights not in ("imagenet", "none") else []),
        *([offline] if offline else []),
    ]
    inputs = [*(stack.content_hash() for stack in tiles.stacks), *map(sha256_file, others)]
    return Checkpoint(output, training_key(facts, inputs))


def fit(
    method: Method, tiles: TileSet, seed: int, device: torch.device, checkpoint: Checkpoint | None = None
) -> LocalizerTask:
    """Train a method with its settings on all tiles of a set.

    Args:
        method: With its initial weights; trained in place.
        tiles: Training tiles.
        seed: Of order and augmentation.
        device: Where to train.
        checkpoint: File for the state after every epoch; remove it when the result is written.

    Returns:
        The trainer's task; its `epochs` are the history, its `global_rank` is 0 in the process that writes the result.
    """
    settings = method.settings
    sample = [tiles[index].image for index in list(EpochOrder(tiles.labels, True, seed))[:CALIBRATION_TILES]]
    method.eval().prepare(torch.stack(sample))
    task = LocalizerTask(method.train(), seed)
    order = EpochOrder(tiles.labels, settings.balanced, seed)
    size = settings.batch_size
    epochs = num_epochs(settings.epochs, len(Batches(order, size, size)), LOCALIZER_STEPS)
    run(task, tiles, order, size, epochs, device, checkpoint, size, settings.gradient_clip)
    return task


class LocalizerTask(Task):
    """Trainer task of a method: views, losses, optimizer, learning rate."""

    stage = "localizer"
    some_unused = True  # a method need not use all parts of its network in every step

    def __init__(self, method: Method, seed: int) -> None:
        super().__init__(seed)
        self.method = method

    @property
    def remedy(self) -> str:
        """Suggest settings to change if training diverged."""
        rate = self.method.settings.optimizer().learning_rate
        return f"lower localizer.learning_rate (it is {rate}) or choose recipe 'stable'"

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Draw the views of a batch on the network's device."""
        self.method.advance(self.trainer.global_step / self.trainer.estimated_stepping_batches, self.current_epoch)
        return self.method.views(Tiles(*batch), self.generator)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sum of the method's losses."""
        losses = self.method.training_step(batch)
        self.note(losses, len(batch["label"]))
        return torch.stack(list(losses.values())).sum()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return SGD, whose learning rate is set in every step."""
        settings = self.method.settings
        optimizer = settings.optimizer()
        sgd = torch.optim.SGD(
            self.method.parameter_groups(optimizer),
            lr=optimizer.learning_rate,
            momentum=optimizer.momentum,
            weight_decay=optimizer.weight_decay,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(sgd, lambda step: lr_lambda(step, steps, settings))
        return {"optimizer": sgd, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def lr_lambda(step: int, steps: int, settings: LocalizerSettings) -> float:
    """Return the factor of the learning rate at `step` of `steps`: warm-up, then the recipe's decay."""
    warmup = min(settings.warmup_steps, steps // 4)
    rise = min(1.0, (step + 1) / (warmup + 1))
    done = min(1.0, step / steps)
    if settings.optimizer().decay == "poly":
        return rise * (1 - done) ** POLY_POWER
    return rise * settings.decay_factor ** sum(done >= milestone for milestone in settings.milestones)


def _count(tiles: TileSet) -> dict[str, int]:
    return {"positive": int((tiles.labels == 1).sum()), "negative": int((tiles.labels == 0).sum())}
