"""The light SAM's training: a pool of images, AdamW, a moving average of the weights, checkpoints, evaluation."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam
from torch import Tensor

from apsam.device import bf16_pays, pick_device
from apsam.errors import ApsamError
from apsam.files import atomic_path
from apsam.sam.light import build_light_sam, light_state_dict, load_light_weights
from apsam.sam.training.data import Item, make_item, stream_items
from apsam.sam.training.evaluate import evaluate_held_out
from apsam.sam.training.step import Stepper, learning_parameters

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LightTraining:
    """Settings of one training.

    Attributes:
        steps: Optimiser steps. The learning rate is constant until three quarters of them and then decays to 0;
            so a training interrupted in the constant part may continue to another number of steps, with the same
            result as if that number had been set at first.
        seed: Of weights, scenes, prompts and everything else.
        images, prompts: Images per step and prompts per image in a step.
        pool, uses: Number of images with cached backbone features, and how often each is used, with new prompts.
        rate: Learning rate, after `warm_up` steps.
        corrections: Prompts of every image in a step that are decoded again with a correction point.
        decay: Of the moving average of the weights, which is evaluated and saved.
        save_minutes: How often state and weights are written.
        held_out: Scenes of the evaluation at the end.
        device: As in `apsam.device.pick_device`.
        workers: 1: scenes are made by a second process.
        threads: On a CPU, the number of parts of a step's images computed in parallel, one torch thread each, because
            a step has many small operations, which gain little from several threads each.
    """

    steps: int = 3100
    seed: int = 20250
    images: int = 4
    prompts: int = 8
    pool: int = 48
    uses: int = 4
    rate: float = 1e-3
    warm_up: int = 100
    corrections: int = 1
    decay: float = 0.99
    save_minutes: float = 4.0
    held_out: int = 40
    device: str = "auto"
    workers: int = 1
    threads: int = 2


# Numbers of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
# Of the steps, with the learning rate constant.
PLATEAU = 0.75
# Scenes evaluated during training, of other seeds than those of the final evaluation.
WATCHED_SEED = 550_000_009


class Trainer:
    """State of a training: network, average, optimiser, pool of images.

    Args:
        settings: See `LightTraining`.
        state: File for the state, so that an interrupted training resumes.
    """

    def __init__(self, settings: LightTraining, state: Path) -> None:
        self.settings, self.state_path = settings, state
        device = pick_device(settings.device)
        torch.manual_seed(settings.seed)
        self.sam = build_light_sam(None).to(device).train()
        self.parameters = learning_parameters(self.sam)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=settings.rate, weight_decay=0.02, betas=(0.9, 0.98))
        torch.set_num_threads(1)
        keep_freed_memory()
        self.parts = min(settings.threads, settings.images) if device.type == "cpu" else 1
        dtype = torch.bfloat16 if bf16_pays(device) else torch.float32
        self.steppers = [Stepper(self.sam, dtype) for _ in range(self.parts)]
        self.executor = ThreadPoolExecutor(self.parts)
        self.average = {k: v.detach().clone() for k, v in light_state_dict(self.sam).items()}
        self.step, self.seconds, self.next_item = 0, 0.0, 0
        self.pool: list[tuple[Item, int, list[Tensor]]] = []  # item, times used, backbone features
        if state.is_file():
            self.resume()
        else:
            self.start_stream()

    def start_stream(self) -> None:
        """Start making items from the training's current one."""
        self.items = stream_items(self.settings.seed, self.next_item, self.per_image, self.settings.workers)

    @property
    def per_image(self) -> int:
        """Return the number of prompts for every image."""
        return self.settings.prompts * self.settings.uses

    def learning_rate(self) -> float:
        """Return the factor of the learning rate: linear warm-up, a plateau, a linear decay to 0."""
        warm = (self.step + 1) / self.settings.warm_up
        left = (1 - self.step / self.settings.steps) / (1 - PLATEAU)
        return self.settings.rate * min(1.0, warm, left)

    def train_step(self) -> float:
        """One optimiser step; returns the loss."""
        rng = np.random.default_rng([self.settings.seed, 1, self.step])
        self.fill_pool()
        chosen = rng.choice(len(self.pool), self.settings.images, replace=False)
        asked = []
        for place in chosen:
            item, used, feature = self.pool[place]
            asked.append((prompts_of(item, used, self.settings.prompts), feature))
            self.pool[place] = (item, used + 1, feature)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        seeds = rng.integers(2**62, size=self.parts)
        jobs = []
        for part, stepper in enumerate(self.steppers):
            items, features = zip(*asked[part :: self.parts], strict=True)
            stacked = [torch.cat(level) for level in zip(*features, strict=True)]
            generator = torch.Generator().manual_seed(int(seeds[part]))
            jobs.append(
                self.executor.submit(stepper.gradients, stacked, list(items), generator, self.settings.corrections)
            )
        results = [job.result() for job in jobs]
        for parameter, *gradients in zip(self.parameters, *(gradient for _, gradient in results), strict=True):
            parameter.grad = torch.stack(gradients).mean(0) if len(gradients) > 1 else gradients[0]
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        self.update_average()
        return sum(loss for loss, _ in results) / self.parts

    def fill_pool(self) -> None:
        """Remove images whose prompts are used up and add new ones."""
        self.pool = [entry for entry in self.pool if entry[1] < self.settings.uses]
        wanted = min(self.settings.pool, 8 + 2 * self.step)  # the first steps need not wait for a full pool
        while len(self.pool) < wanted:
            missing = min(self.settings.images, wanted - len(self.pool))
            items = [next(self.items) for _ in range(missing)]
            self.next_item = int(items[-1]["index"]) + 1
            self.keep([(item, 0) for item in items])

    def keep(self, entries: list[tuple[Item, int]]) -> None:
        """Compute features and add items to the pool."""
        images = [item["image"].unsqueeze(0) for item, _ in entries]
        features = self.executor.map(self.steppers[0].features, images)
        self.pool += [(item, used, feature) for (item, used), feature in zip(entries, features, strict=True)]

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards the network; faster at first, when the network changes fast."""
        decay = min(self.settings.decay, (1 + self.step) / (10 + self.step))
        for key, value in light_state_dict(self.sam).items():
            self.average[key].lerp_(value, 1 - decay) if value.is_floating_point() else self.average[key].copy_(value)

    def save(self) -> None:
        """Write the state: everything that the next step depends on."""
        with atomic_path(self.state_path) as partial:
            torch.save(
                {
                    "settings": asdict(self.settings),
                    "network": light_state_dict(self.sam),
                    "average": self.average,
                    "optimizer": self.optimizer.state_dict(),
                    "step": self.step,
                    "seconds": self.seconds,
                    "next_item": self.next_item,
                    "pool": [[int(item["index"]), used] for item, used, _ in self.pool],
                },
                partial,
            )

    def resume(self) -> None:
        """Load a saved state. Pool images are made again from their numbers.

        Raises:
            ApsamError: The state belongs to a training with other settings.
        """
        state = torch.load(self.state_path, map_location=self.sam.device, weights_only=True)
        decisive = ["seed", "images", "prompts", "pool", "uses", "rate", "warm_up", "corrections", "decay"]
        if state["step"] > PLATEAU * min(state["settings"]["steps"], self.settings.steps):
            decisive.append("steps")  # the learning rate has begun to decay
        other = [key for key in decisive if state["settings"][key] != getattr(self.settings, key)]
        if other:
            raise ApsamError(
                f"{self.state_path} is of a training with another {', '.join(other)}: match it, remove it, or name "
                "another file by --state"
            )
        load_light_weights(self.sam, state["network"], str(self.state_path))
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.next_item = state["next_item"]
        for index, used in state["pool"]:
            self.keep([(make_item(self.settings.seed, index, self.per_image), used)])
        self.start_stream()
        log.info("resumed at step %d", self.step)

    def averaged(self) -> Sam:
        """Return a SAM with the averaged weights as in the weights file: rounded to float16."""
        sam = build_light_sam(None).to(self.sam.device)
        load_light_weights(sam, half(self.average), "the average")
        return sam


def keep_freed_memory() -> None:
    """Let glibc's malloc, if it is used, keep large freed blocks.

    Every step needs the same ones again; the kernel would have to clear each of their pages.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, 2**25)  # the highest that is allowed
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def prompts_of(item: Item, use: int, count: int) -> Item:
    """Return the item with only the `count` prompts of its `use`-th use."""
    window = slice(use * count, (use + 1) * count)
    return {key: value if key in ("index", "image") else value[window] for key, value in item.items()}


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Float16 copies of floating-point tensors, on the CPU."""
    return {k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()}


def save_weights(state: dict[str, Tensor], path: Path, note: str) -> None:
    """Write a weights file (float16 safetensors) with its provenance as JSON."""
    with atomic_path(path) as partial:
        save_file(half(state), partial, metadata={"training": note})  # a second key would make the order random
    path.chmod(0o644)


def train_light_sam(settings: LightTraining, output: Path, state: Path | None = None) -> dict[str, float]:
    """Train the light SAM from scratch, or resume from a saved state.

    Args:
        settings: See `LightTraining`.
        output: Weights file; rewritten every few minutes, finally with the last weights. No epoch is selected.
        state: File of the state; by default next to `output`, `.state.pt`.

    Returns:
        An evaluation of the last weights on scenes that nothing else uses (see `evaluate_held_out`).
    """
    trainer = Trainer(settings, state or output.with_suffix(".state.pt"))
    saved = started = time.monotonic()
    base, losses, a_step = trainer.seconds, [], settings.images * settings.prompts
    while trainer.step < settings.steps:
        losses.append(trainer.train_step())
        now = time.monotonic()
        trainer.seconds = base + now - started
        if trainer.step % 50 == 0:
            log.info(
                "step %d  prompts %d  loss %.3f  rate %.1e  %.1f min  %.1f ms a prompt",
                trainer.step, trainer.step * a_step, np.mean(losses[-100:]), trainer.learning_rate(),
                trainer.seconds / 60, 1e3 * trainer.seconds / (trainer.step * a_step),
            )  # fmt: skip
        if now - saved > 60 * settings.save_minutes:
            write(trainer, output)
            saved = time.monotonic()
    write(trainer, output)
    result = evaluate_held_out(trainer.averaged(), settings.held_out, seed=WATCHED_SEED)
    log.info("after step %d: %s", trainer.step, json.dumps({k: round(v, 4) for k, v in result.items()}))
    return result


def write(trainer: Trainer, output: Path) -> None:
    """Write the state and the averaged weights."""
    trainer.save()
    note = json.dumps({"steps": trainer.step, "settings": asdict(trainer.settings)}, sort_keys=True)
    save_weights(trainer.average, output, note)
