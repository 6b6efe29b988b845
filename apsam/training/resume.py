"""Resume a stopped training from Lightning's checkpoint of the last epoch, in a hidden file next to the result.

The file records its training: settings, seed, inputs, code and versions. If any of them differ, it is not used. It is
removed when the result is written. It contains tensors and plain values, and is read as such (`weights_only`): nothing
in it is executed.

Lightning writes its checkpoint before it updates a `ReduceLROnPlateau` with the epoch's loss, and skips this update
when it resumes. So `Task` updates it before the checkpoint, and stores its state in the checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from apsam import __version__, torchvision_ops  # noqa: F401  (torchvision_ops before lightning, which imports torchvision)
from apsam.files import atomic_path

from lightning.fabric.plugins import CheckpointIO  # isort: skip
from lightning.pytorch.callbacks import ModelCheckpoint  # isort: skip

KEY = "apsam_training_key"


def training_key(facts: Mapping[str, Any], inputs: Iterable[str]) -> str:
    """Return a hash of everything that a training's result depends on, without its devices.

    Args:
        facts: Settings, seed, hash of the code: JSON values.
        inputs: Hashes of the files it reads.
    """
    text = json.dumps([facts, list(inputs), __version__, torch.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Checkpoint(CheckpointIO):
    """The file of an unfinished training, and Lightning's interface to write it atomically and to read it as data.

    Args:
        output: The result of the training.
        key: From `training_key`.
    """

    def __init__(self, output: Path, key: str) -> None:
        self.path = output.with_name(f".resume-{output.stem}.pt")
        self.key = key

    def read(self) -> dict[str, Any] | None:
        """Return the state; None if there is none, or it is damaged or of another training."""
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True, mmap=False)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None
        return state if isinstance(state, dict) and state.get(KEY) == self.key else None

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the state atomically."""
        with atomic_path(self.path) as partial:
            torch.save({**state, KEY: self.key}, partial)

    def remove(self) -> None:
        """Remove the file, because the training is finished."""
        self.path.unlink(missing_ok=True)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a state collected by Lightning; it is called only in the first of several processes."""
        self.write(checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read the state for Lightning.

        Raises:
            FileNotFoundError: It was removed since the training began.
        """
        state = self.read()
        if state is None:
            raise FileNotFoundError(f"{self.path}: disappeared while the training started")
        return state

    def remove_checkpoint(self, path: Any) -> None:
        """Keep the file: it is removed when the result is written."""

    def callback(self) -> ModelCheckpoint:
        """Return the callback with which Lightning writes a state after every epoch."""
        return _EveryEpoch(
            dirpath=self.path.parent,
            filename=self.path.stem,
            every_n_epochs=1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )


class _EveryEpoch(ModelCheckpoint):
    FILE_EXTENSION = ".pt"
