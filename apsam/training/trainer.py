"""Run a training: device, number format, processes, batches, signals. Lightning runs the loop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch.utils.data import DataLoader, Dataset

from apsam import torchvision_ops  # noqa: F401  (before lightning, which imports torchvision)
from apsam.device import bf16_pays
from apsam.errors import Interrupted
from apsam.training.batches import Batches, Order
from apsam.training.norms import SyncLearnedNorms
from apsam.training.processes import StartedProcesses, find_processes
from apsam.training.resume import Checkpoint
from apsam.training.task import Task

import lightning.pytorch as lightning  # isort: skip
from lightning.fabric.plugins.environments import LightningEnvironment  # isort: skip
from lightning.pytorch.strategies import DDPStrategy  # isort: skip

STOPPING = (signal.SIGTERM, signal.SIGUSR1)  # SLURM's pre-emption and time limit, Snakemake's Ctrl-C
IGNORED_WARNINGS = (
    ".*does not have many workers.*",  # the tiles are in memory or mapped
    ".*module\\(s\\) in eval mode.*",  # frozen batch norms are
    ".*LeafSpec.*deprecated.*",
    ".*`srun` command is available.*",  # Snakemake decides what runs in a job step
    ".*Checkpoint directory .* exists and is not empty.*",  # it is the folder of the result
    ".*The dirpath has changed from.*",  # the folder was moved, its checkpoint with it
)
QUIET_LOGGERS = ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda")


def run(
    task: Task,
    data: Dataset,
    order: Order,
    batch_size: int,
    epochs: int,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    least: int = 1,
    gradient_clip: float = 0,
) -> None:
    """Train `task` on `data`, resuming from its checkpoint if there is one.

    Args:
        task: Network, losses, optimizer.
        data: The tiles.
        order: Of the tiles in an epoch.
        batch_size: Tiles per step, over all processes.
        epochs: Number of epochs.
        device: Where to compute. `cuda` without a number uses all GPUs that this process sees, and starts a process
            for each; if `srun` or `torchrun` started several processes, each uses one.
        checkpoint: File for the state after every epoch; remove it when the result is written.
        least: A shorter last batch is left out if it has fewer tiles than this for each process.
        gradient_clip: Maximum norm of the gradient over all weights; 0: no limit.

    Raises:
        ApsamError: Training diverged: the loss is NaN or infinite.
        Interrupted: A signal stopped the training.
    """
    trainer = _trainer(task, epochs, device, checkpoint, gradient_clip)
    batches = Batches(order, batch_size, least * trainer.world_size, trainer.global_rank, trainer.world_size)
    # A separate generator: a loader's random numbers must not depend on how often its batches were requested.
    loader = DataLoader(data, batch_sampler=batches, generator=torch.Generator())
    with warnings.catch_warnings(), _handlers_kept():
        for message in IGNORED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        known = checkpoint.path if checkpoint is not None and checkpoint.read() is not None else None
        trainer.fit(task, loader, ckpt_path=known, weights_only=True)


def own_device(device: torch.device) -> torch.device:
    """Return the device of this process among those that `run` uses for `device`: of `cuda`, the GPU of its rank."""
    if device.type != "cuda" or device.index is not None:
        return device
    started = find_processes()
    return torch.device("cuda", _gpu_of(started) if started else LightningEnvironment().local_rank())


class StopOnSignal(lightning.Callback):
    """End the training in all its processes at a signal, so that it can be resumed elsewhere."""

    def on_train_start(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        """Install the signal handler, instead of Lightning's, which exchanges messages between computing processes."""

        def stop(number: int, _frame: FrameType | None) -> None:
            for one in STOPPING:
                signal.signal(one, signal.SIG_IGN)
            if trainer.strategy.launcher is not None:
                trainer.strategy.launcher.kill(signal.Signals(number))
            raise Interrupted(
                f"{task.stage}: stopped by {signal.Signals(number).name} in epoch {trainer.current_epoch + 1} of "
                f"{trainer.max_epochs}; run it again to resume"
            )

        if threading.current_thread() is threading.main_thread():
            for one in STOPPING:
                signal.signal(one, stop)


def _trainer(
    task: Task, epochs: int, device: torch.device, checkpoint: Checkpoint | None, gradient_clip: float
) -> lightning.Trainer:
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    started = find_processes()
    gpu = device.type == "cuda"
    devices: int | list[int] = 1
    if gpu and device.index is not None:
        devices = [device.index]
    elif gpu:
        devices = torch.cuda.device_count() if started is None else [_gpu_of(started)]
    world = started.world if started else (devices if isinstance(devices, int) else 1)
    with warnings.catch_warnings():
        for message in IGNORED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        return lightning.Trainer(
            max_epochs=epochs,
            accelerator="gpu" if gpu else device.type,
            devices=devices,
            num_nodes=started.world if started else 1,
            strategy=DDPStrategy(find_unused_parameters=task.some_unused) if world > 1 else "auto",
            plugins=[
                started or LightningEnvironment(),
                *([checkpoint] if checkpoint else []),
                *([SyncLearnedNorms()] if gpu and world > 1 else []),
            ],
            precision="bf16-mixed" if bf16_pays(device) else "32-true",
            gradient_clip_val=gradient_clip or None,
            deterministic="warn",
            use_distributed_sampler=False,
            callbacks=[*([checkpoint.callback()] if checkpoint else []), StopOnSignal()],
            logger=False,
            enable_checkpointing=checkpoint is not None,
            enable_progress_bar=sys.stderr.isatty() and (started is None or started.rank == 0),
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )


def _gpu_of(started: StartedProcesses) -> int:
    """Number of the GPU of this process: it may see one alone, or all of its machine."""
    return started.local % torch.cuda.device_count()


@contextmanager
def _handlers_kept() -> Iterator[None]:
    before = {one: signal.getsignal(one) for one in STOPPING}
    try:
        yield
    finally:
        for one, handler in before.items():
            if signal.getsignal(one) is not handler:
                signal.signal(one, handler)
