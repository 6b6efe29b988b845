"""A training goes on where it was stopped: its state after every epoch, in a hidden file beside the result.

The file says what it belongs to: settings, seed, inputs, code and versions. One of anything else is not read. It is
removed when the result is written. It holds tensors and plain values, and is read as such (`weights_only`): nothing
in it is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from apsam import __version__
from apsam.files import atomic_path
from apsam.training.task import Task

import lightning.pytorch as lightning  # isort: skip


def training_key(facts: Mapping[str, Any], inputs: Iterable[str]) -> str:
    """What a training's result depends on, as hex digits; not the devices it runs on.

    Args:
        facts: Settings, seed, hash of the code: JSON values.
        inputs: Hashes of the files it reads.
    """
    text = json.dumps([facts, list(inputs), __version__, torch.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Checkpoint:
    """The state of an unfinished training.

    Args:
        output: The file that the training is to make.
        key: From `training_key`.
    """

    def __init__(self, output: Path, key: str) -> None:
        self.path = output.with_name(f".resume-{output.stem}.pt")
        self.key = key

    def read(self) -> dict[str, Any] | None:
        """The state; None where there is none, or that of another training, or a damaged one."""
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True, mmap=False)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None
        return state if isinstance(state, dict) and state.get("key") == self.key else None

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the state, in one moment."""
        with atomic_path(self.path) as partial:
            with partial.open("wb") as file:
                torch.save({"key": self.key, **state}, file)
                file.flush()
                os.fsync(file.fileno())

    def remove(self) -> None:
        """The training is done."""
        self.path.unlink(missing_ok=True)


class Resume(lightning.Callback):
    """Restore a task's state before its first epoch, and keep it after every one."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._kept = 0

    def on_train_start(self, trainer: lightning.Trainer, task: Task) -> None:
        """Go on after the last whole epoch."""
        state = self.checkpoint.read()
        done = state["epoch"] if state else 0
        if trainer.world_size > 1:
            done = int(trainer.strategy.reduce(torch.tensor(float(done), device=task.device), reduce_op="mean"))
        if not state or done != state["epoch"]:  # a process that does not see the file would begin anew
            return
        task.load_state_dict(state["weights"])
        for optimizer, kept in zip(trainer.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        for config, kept in zip(trainer.lr_scheduler_configs, state["schedules"], strict=True):
            config.scheduler.load_state_dict(kept)
        trainer.precision_plugin.load_state_dict(state["precision"])
        task.epochs = state["epochs"]
        for progress in (trainer.fit_loop.epoch_progress.current, trainer.fit_loop.epoch_progress.total):
            progress.ready = progress.started = progress.processed = progress.completed = done
        steps = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
        steps.ready = steps.completed = state["steps"]
        self._kept = done
        task.tell(f"goes on after epoch {done}/{trainer.max_epochs}")

    def on_train_epoch_start(self, trainer: lightning.Trainer, task: Task) -> None:
        """Keep the state between two epochs, where schedules have moved on too."""
        self._keep(trainer, task)

    def on_train_end(self, trainer: lightning.Trainer, task: Task) -> None:
        """Keep the last state, until the result is written."""
        self._keep(trainer, task)

    def _keep(self, trainer: lightning.Trainer, task: Task) -> None:
        if trainer.current_epoch == self._kept or not trainer.is_global_zero:
            return
        self._kept = trainer.current_epoch
        self.checkpoint.write(
            {
                "epoch": trainer.current_epoch,
                "steps": trainer.global_step,
                "weights": task.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
                "schedules": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
                "precision": trainer.precision_plugin.state_dict(),
                "epochs": task.epochs,
            }
        )
