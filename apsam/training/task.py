"""Definition of a training: losses, optimizer, and suggestions if it diverges."""

from __future__ import annotations

import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from apsam import torchvision_ops  # noqa: F401  (before lightning, which imports torchvision)
from apsam.errors import ApsamError

import lightning.pytorch as lightning  # isort: skip

DIGITS = 6
STATE = "apsam_task"  # of a checkpoint


class Task(lightning.LightningModule, ABC):
    """A network with its losses and optimizer, and the parts shared by all trainings: seeds, history, progress.

    All random numbers of an epoch follow from the seed, the epoch and the rank of the process, so that a training
    resumes after any epoch with the same result. State that a network keeps between epochs must be in
    its `state_dict`; history and plateau are added to Lightning's checkpoint here.

    Attributes:
        stage: Name of the training in messages.
        generator: Random numbers on the CPU, seeded at the start of every epoch, as are those of torch,
            NumPy and Python.
        epochs: For each completed epoch: `epoch` (from 1), `learning_rate`, and every loss, averaged over the tiles.
        plateau: A schedule that reacts to a plateau of the total loss, if the task has one: a task sets it
            in `configure_optimizers`, and does not return it to Lightning (see `apsam.training.resume`).
        some_unused: Whether a step may leave out trained parameters (requires a search if there are several
            processes).
    """

    stage = "training"
    some_unused = False

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)
        self.epochs: list[dict[str, float]] = []
        self.plateau: ReduceLROnPlateau | None = None
        self._sums: dict[str, Tensor] = {}
        self._tiles = 0
        self._restored: dict[str, Any] = {}

    @property
    @abstractmethod
    def remedy(self) -> str:
        """Return settings to change if the training diverged."""

    def note(self, losses: Mapping[str, Tensor], tiles: int) -> None:
        """Add a step's losses, means over `tiles` tiles, to those of the epoch."""
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.detach().float() * tiles
        self._tiles += tiles

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add data to a checkpoint that Lightning does not store."""
        plateau = self.plateau.state_dict() if self.plateau is not None else None
        checkpoint[STATE] = {"epochs": self.epochs, "plateau": plateau}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read the history from a checkpoint; the schedule does not exist yet."""
        self._restored = checkpoint[STATE]
        self.epochs = list(self._restored["epochs"])

    def on_fit_start(self) -> None:
        """Report the epoch at which the training resumes.

        Raises:
            ApsamError: Not every process has read the checkpoint.
        """
        done = len(self.epochs)
        if self.trainer.world_size > 1:
            mean = float(self.trainer.strategy.reduce(torch.tensor(float(done), device=self.device), reduce_op="mean"))
            if mean != done:
                raise ApsamError(
                    f"{self.stage}: not every process sees the checkpoint of the stopped training; let all machines "
                    f"share the folder of the result, or remove its file .resume-*.pt"
                )
        if done:
            self.log_line(f"resuming after epoch {done}/{self.trainer.max_epochs}")

    def on_train_start(self) -> None:
        """Restore the schedule."""
        if self.plateau is not None and self._restored.get("plateau"):
            self.plateau.load_state_dict(self._restored["plateau"])

    def on_train_epoch_start(self) -> None:
        """Seed all random number generators."""
        words = np.random.SeedSequence([self.seed, self.current_epoch, self.global_rank]).generate_state(4)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))
        torch.manual_seed(int(words[2]))
        self.generator.manual_seed(int(words[3]))

    def on_train_epoch_end(self) -> None:
        """Add the losses of the epoch to the history, and report them.

        Raises:
            ApsamError: One is NaN or infinite, or a weight is.
        """
        names = sorted(self._sums)
        row = dict(zip(names, self._means(names), strict=True))
        self._sums, self._tiles = {}, 0
        number, last = self.current_epoch + 1, self.trainer.max_epochs
        # The losses of an epoch do not show what its last step did to the weights.
        finite = {"the loss is": np.isfinite(list(row.values())).all(), "weights are": self._weights_are_finite()}
        if wrong := [what for what, well in finite.items() if not well]:
            raise ApsamError(f"{self.stage}: training diverged, {wrong[0]} NaN or inf in epoch {number}; {self.remedy}")
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.epochs.append({"epoch": number, "learning_rate": rate, **row})
        if self.plateau is not None:
            self.plateau.step(sum(row.values()))
        self.log_line(f"epoch {number}/{last}, " + ", ".join(f"{name} {value:.4f}" for name, value in row.items()))

    def log_line(self, message: str) -> None:
        """Print a message once for all processes."""
        if self.global_rank == 0:
            print(f"{self.stage}: {message}", file=sys.stderr, flush=True)

    def _weights_are_finite(self) -> bool:
        """Whether all that the network keeps, weights and statistics of batch norms, is finite."""
        return all(bool(value.isfinite().all()) for value in self.state_dict().values())

    def _means(self, names: list[str]) -> list[float]:
        """Return mean losses over the tiles of all processes."""
        sums = torch.stack([self._sums[name] for name in names]).cpu().double()  # MPS has no float64
        totals = torch.cat([sums, sums.new_tensor([self._tiles])])
        if self.trainer.world_size > 1:
            totals = self.trainer.strategy.reduce(totals.to(self.device), reduce_op="sum")
        return [round(float(total / totals[-1]), DIGITS) for total in totals[:-1]]
