"""Train the ResUNet on pseudo-masks.

Pixel labels are not used for selection: the result is the network of the last epoch (unless `keep` is
`best_on_labels`, as in the paper's released code).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from apsam.code_hash import code_hash
from apsam.conditions import TrainingConditions, conditions_of
from apsam.device import pick_device, seed_everything
from apsam.errors import ConfigError
from apsam.files import scratch_folder, sha256_file, write_json
from apsam.resunet.augment import colour, dihedral, random_views
from apsam.resunet.checkpoint import save_resunet
from apsam.resunet.crops import CropOrder, SceneCrops, TrainingScene
from apsam.resunet.data import PseudoMaskTiles
from apsam.resunet.model import ResUNet, build_resunet
from apsam.resunet.settings import ResUNetSettings
from apsam.stack import TileStack
from apsam.training.batches import Batches, Shuffled
from apsam.training.length import RESUNET_STEPS, num_epochs
from apsam.training.processes import find_processes
from apsam.training.resume import Checkpoint, training_key
from apsam.training.task import Task
from apsam.training.trainer import run

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerConfig, OptimizerLRSchedulerConfig

    from apsam.metrics.scene import MeasuredScene
    from apsam.resunet.best_epoch import F1OnLabels

NO_DATA = 255
WARM_UP = 0.2  # of the steps of a one-cycle schedule
# A batch of one tile has no variance for the batch norms of the 1 x 1 pyramid bin.
LEAST_TILES = 2


def segmentation_loss(logits: Tensor, mask: Tensor, kind: str, certain: int = 1) -> Tensor:
    """Binary cross-entropy, with soft dice over the batch if `kind` is "bce_dice". Pixels of 255 are ignored.

    Args:
        logits: (b, 1, h, w).
        mask: (b, h, w) uint8 from 0 to `certain`, 255 unknown.
        kind: "bce" or "bce_dice".
        certain: Value of the mask that means landslide; those between it and 0 are probabilities in this unit.
    """
    known = (mask != NO_DATA).float()
    target = torch.where(mask == NO_DATA, 0, mask).float() / certain
    logits = logits[:, 0].float()
    count = known.sum().clamp(min=1)
    loss = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * known).sum() / count
    if kind == "bce_dice":
        probability = logits.sigmoid() * known
        overlap = (probability * target).sum()
        loss = loss + 1 - (2 * overlap + 1) / (probability.sum() + target.sum() + 1)
    return loss


class ResUNetTraining(Task):
    """The ResUNet with its loss, optimizer and schedule."""

    stage = "resunet"
    best_f1: Tensor

    def __init__(
        self,
        network: ResUNet,
        settings: ResUNetSettings,
        seed: int = 0,
        f1_on_labels: F1OnLabels | None = None,
        certain: int = 1,
    ) -> None:
        super().__init__(seed)
        self.network = network
        self.settings = settings
        self.certain = certain
        self.f1_on_labels = f1_on_labels
        if f1_on_labels is not None:  # in the state dict, so that a resumed training still has them
            self.best = deepcopy(network).requires_grad_(False)
            self.register_buffer("best_f1", torch.tensor(-1.0))

    @property
    def kept(self) -> ResUNet:
        """Return the resulting network: of the last epoch, or of the best one on reference masks."""
        return self.network if self.f1_on_labels is None else self.best

    def on_train_epoch_end(self) -> None:
        """Record the losses; evaluate on reference masks after every second epoch and the last one."""
        super().on_train_epoch_end()
        number = self.current_epoch + 1
        if self.f1_on_labels is None or (number % 2 and number != self.trainer.max_epochs):
            return
        f1 = self.f1_on_labels(self.network)
        self.epochs[-1]["f1_on_labels"] = round(f1, 6)
        if f1 > float(self.best_f1):
            self.best.load_state_dict(self.network.state_dict())
            self.best_f1.fill_(f1)

    @property
    def remedy(self) -> str:
        """Suggest settings to change if training diverged."""
        return f"lower resunet.learning_rate ({self.settings.learning_rate:g})"

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """Loss of a batch: images (b, 3, s, s) uint8, pseudo-masks (b, s, s) uint8, 0 to `certain`, 255 unknown."""
        image, mask = batch
        image = image.float() / 255
        if self.settings.augment != "none":
            image, mask = dihedral(image, mask)
        if self.settings.zoom > 1:
            image, mask = random_views(image, mask, self.settings.zoom)
        if self.settings.augment == "dihedral_colour":
            image = colour(image)
        image = image.contiguous(memory_format=torch.channels_last)
        loss = segmentation_loss(self.network(image), mask, self.settings.loss, self.certain)
        self.note({"loss": loss}, len(image))
        return loss

    def configure_optimizers(self) -> OptimizerConfig | OptimizerLRSchedulerConfig:
        """Return optimizer and schedule; the encoder has a separate learning rate, without its frozen parts."""
        s = self.settings
        encoder = [p for p in self.network.encoder.parameters() if p.requires_grad]
        others = [p for name, p in self.network.named_parameters() if not name.startswith("encoder.")]
        groups: list[dict[str, Any]] = [
            {"params": others, "lr": s.learning_rate},
            {"params": encoder, "lr": s.learning_rate * s.encoder_rate},
        ]
        if s.optimizer == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(groups, momentum=s.momentum, weight_decay=s.weight_decay)
        else:
            optimizer = torch.optim.AdamW(groups, weight_decay=s.weight_decay, fused=True)
        if s.schedule == "plateau":
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=0.5, patience=5, cooldown=3, min_lr=1e-8
            )
        if s.schedule == "one_cycle":
            # The trainer's number, because several GPUs share the steps.
            steps = int(self.trainer.estimated_stepping_batches)
            # The peak is between two steps, also if there are only a few: OneCycleLR divides by its length.
            rise = min(max(WARM_UP * steps, 1.5), steps - 0.5)
            peaks = [group["lr"] for group in groups]
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, steps, pct_start=rise / steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
        return {"optimizer": optimizer}


def train_resunet(
    tiles: Sequence[Path],
    masks: Sequence[Path],
    settings: ResUNetSettings,
    output: Path,
    history: Path,
    seed: int = 1,
    device: str = "auto",
    reference: Sequence[MeasuredScene] = (),
) -> None:
    """Train on the part-0 tiles of some scenes and keep the last epoch.

    A stopped training resumes after its last complete epoch.

    Args:
        tiles: Tile stacks.
        masks: Stacks of pseudo-masks, in the same order.
        settings: Network and training.
        output: Weights to write, safetensors with the settings as metadata.
        history: JSON to write: loss and learning rate of every epoch.
        seed: Seeds weights, order and augmentation: the same seed gives the same bytes on the same machine.
        device: `auto` (one GPU if there is one), `cpu`, `cuda` (all GPUs that the process sees), `cuda:1`.
        reference: Scenes with reference masks, read only with `keep: best_on_labels`.

    Raises:
        InputError: Tiles and masks do not match, or there are too few tiles.
        ApsamError: Training diverged: the loss is NaN or infinite.
        Interrupted: A signal stopped the training.
    """
    key = _key(tiles, masks, settings, seed, reference)
    processes = find_processes()
    with scratch_folder(output, f"tiles{processes.rank if processes else ''}") as folder:
        data = PseudoMaskTiles(tiles, masks, folder)
        order = Shuffled(len(data), seed)
        f1_on_labels = _f1_on_labels(settings, reference)
        conditions = conditions_of(tiles)
        _train(data, order, conditions, settings, key, output, history, seed, device, f1_on_labels, RESUNET_STEPS)


def train_on_scenes(
    scenes: Sequence[TrainingScene],
    settings: ResUNetSettings,
    output: Path,
    history: Path,
    seed: int = 1,
    device: str = "auto",
    least_steps: int = RESUNET_STEPS,
) -> None:
    """Train on crops at random positions of some scenes and keep the last epoch.

    A stopped training resumes after its last complete epoch.

    Args:
        scenes: Scenes with their scene-wide masks. An epoch has as many crops as these have training tiles.
        settings, output, history, seed, device: As for `train_resunet`.
        least_steps: Of `epochs: auto`.

    Raises:
        InputError: Files do not match, or there are too few tiles.
        ConfigError: `settings.keep` is not `last`.
        ApsamError: Training diverged: the loss is NaN or infinite.
        Interrupted: A signal stopped the training.
    """
    if settings.keep != "last":
        raise ConfigError(
            f"resunet.keep: {settings.keep} reads reference masks of tiles; with crops of scenes set last"
        )
    tiles = [scene.tiles for scene in scenes]
    key = _key(tiles, [], settings, seed, rasters=[(scene.mask, scene.band) for scene in scenes])
    conditions = conditions_of(tiles)
    if conditions is not None and settings.loss == "bce":
        conditions = conditions.model_copy(update={"decision": "expected_f1"})
    data = SceneCrops(scenes, seed)
    try:
        order = CropOrder(len(data), seed)
        _train(data, order, conditions, settings, key, output, history, seed, device, None, least_steps)
    finally:
        data.close()


def _train(
    data: PseudoMaskTiles | SceneCrops,
    order: Shuffled,
    conditions: TrainingConditions | None,
    settings: ResUNetSettings,
    key: str,
    output: Path,
    history: Path,
    seed: int,
    device: str,
    f1_on_labels: F1OnLabels | None,
    least_steps: int,
) -> None:
    """Train on some data and write weights and history."""
    chosen = pick_device(device)
    seed_everything(seed)
    checkpoint = Checkpoint(output, key)
    network = build_resunet(settings).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's overloads leave memory_format out
    task = ResUNetTraining(network, settings, seed, f1_on_labels, data.certain)
    # Steps of one process: the number of devices does not change the length of the training.
    steps = len(Batches(order, settings.batch_size, LEAST_TILES))
    epochs = num_epochs(settings.epochs, steps, least_steps)
    run(task, data, order, settings.batch_size, epochs, chosen, checkpoint, LEAST_TILES)
    if task.global_rank != 0:
        return
    counts = {"tiles": len(data), "with_landslide": data.positive}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    save_resunet(task.kept, settings, output, {"seed": seed, **counts}, conditions)
    write_json(
        history,
        {
            "settings": settings.model_dump(mode="json"),
            "seed": seed,
            "parameters": parameters,
            "epochs": task.epochs,
            **counts,
        },
    )
    checkpoint.remove()


def _f1_on_labels(settings: ResUNetSettings, reference: Sequence[MeasuredScene]) -> F1OnLabels | None:
    """Return the evaluator for the best epoch; None: the last epoch is kept."""
    if settings.keep == "last":
        return None
    from apsam.resunet.best_epoch import F1OnLabels

    return F1OnLabels(reference)


def _key(
    tiles: Sequence[Path],
    masks: Sequence[Path],
    settings: ResUNetSettings,
    seed: int,
    reference: Sequence[MeasuredScene] = (),
    rasters: Sequence[tuple[Path, int]] = (),
) -> str:
    code = code_hash(Path(__file__), definition="train_on_scenes" if rasters else "train_resunet")
    facts: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "seed": seed, "code": code}
    if rasters:
        facts["masks"] = [[sha256_file(path), band] for path, band in rasters]
    measured = [scene.scene.mask for scene in reference] if settings.keep != "last" else []
    # A folder of masks is recorded by its name, because it may have many files.
    known = [sha256_file(path) if path.is_file() else str(path) for path in measured if path]
    return training_key(facts, [*(TileStack(path).content_hash() for path in [*tiles, *masks]), *known])
