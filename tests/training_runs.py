"""A training in a separate process, to be stopped from outside or started several times.

    python tests/training_runs.py KIND FOLDER OUTPUT [--stop-after EPOCHS --signal NUMBER]

FOLDER contains `tiles.zarr.zip` and, for the ResUNet, `masks.zarr.zip`. With `--stop-after` the process sends itself a
signal in the middle of the epoch that follows, or waits there for one.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from localizer_tiles import SIDE, STILL, blob_tiles

from apsam.localizer.settings import LocalizerSettings
from apsam.localizer.train import LocalizerTask, train_localizer
from apsam.resunet.settings import ResUNetSettings
from apsam.resunet.train import ResUNetTraining, train_resunet
from apsam.stack import TileStackWriter
from apsam.training.task import Task

# Trained layers, momentum, a clipped gradient, views from the generator.
LOCALIZER = LocalizerSettings(weights="none", head="plain", frozen_stages=2, epochs=3, batch_size=4)
# Nothing random but the order, and a backbone that is not trained: rounding errors do not grow.
LOCALIZERS = {"localizer": LOCALIZER, "localizer_still": LocalizerSettings(epochs=3, batch_size=4, augmentation=STILL)}
# SGD and a plateau.
RESUNET = ResUNetSettings(
    preset="paper", widths=(4, 6, 8, 8, 8), pyramid_width=4, batch_size=4, epochs=3, augment="dihedral_colour"
)
RESUNETS = {
    "resunet": RESUNET,
    "resunet_one_cycle": RESUNET.model_copy(update={"optimizer": "adamw", "schedule": "one_cycle"}),
}
SEED = 3
LONGEST_WAIT = 120


def write_tiles(folder: Path) -> Path:
    """24 noisy tiles, every second one with a brown disc; the last 8 are held out."""
    images, labels, masks = blob_tiles(24)
    specs = {"image": ((3, SIDE, SIDE), "uint8"), "label": ((), "uint8"), "part": ((), "uint8")}
    with TileStackWriter(folder / "tiles.zarr.zip", {"scene": "a", "tile_size": SIDE}, specs) as writer:
        part = (np.arange(24) >= 16).astype(np.uint8)
        writer.append(image=images, label=labels, part=part)
    with TileStackWriter(folder / "masks.zarr.zip", {"scene": "a"}, {"mask": ((SIDE, SIDE), "uint8")}) as writer:
        writer.append(mask=masks)
    return folder


def train(kind: str, folder: Path, output: Path, seed: int = SEED) -> None:
    """Run one of the tiny trainings."""
    torch.set_num_threads(1)
    history = output.with_suffix(".json")
    tiles = [folder / "tiles.zarr.zip"]
    if kind in LOCALIZERS:
        train_localizer(tiles, LOCALIZERS[kind], output, history, seed, "cpu")
    else:
        train_resunet(tiles, [folder / "masks.zarr.zip"], RESUNETS[kind], output, history, seed, "cpu")


def stop_in(task: type[Task], epoch: int, number: int | None) -> None:
    """Let the second step of `epoch`, counted from 0, send a signal to this process, or wait for one."""
    original = task.training_step

    def step(self: Task, batch: object, index: int) -> torch.Tensor:
        if self.current_epoch == epoch and index == 1:
            os.kill(os.getpid(), number) if number else time.sleep(LONGEST_WAIT)
        return original(self, batch, index)

    task.training_step = step


def main() -> None:
    """Train, and exit like the commands of the package."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--stop-after", type=int)
    parser.add_argument("--signal", type=int)
    arguments = parser.parse_args()
    if arguments.stop_after is not None:
        task = LocalizerTask if arguments.kind in LOCALIZERS else ResUNetTraining
        stop_in(task, arguments.stop_after, arguments.signal)
    train(arguments.kind, arguments.folder, arguments.output)


if __name__ == "__main__":
    import sys

    from apsam.errors import ApsamError

    try:
        main()
    except ApsamError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
