"""Train the SAM of this package, on synthetic scenes only, and evaluate it.

Writes float16 weights as safetensors every few minutes, and a state file next to them from which an interrupted
training resumes with the same command.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import torch

from apsam.device import set_threads
from apsam.sam.light import IMAGE_SIZE, LIGHT_WEIGHTS, build_light_sam
from apsam.sam.training.evaluate import evaluate_held_out
from apsam.sam.training.loop import LightTraining, train_light_sam
from apsam.sam.training.real_images import evaluate_real

from segment_anything import SamPredictor  # isort: skip
from segment_anything.modeling import Sam  # isort: skip


def main() -> None:
    """Read the arguments, train, evaluate, print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=LIGHT_WEIGHTS, help="weights file to write")
    parser.add_argument("--state", type=Path, help="state file (default: next to the weights file)")
    parser.add_argument("--steps", type=int, default=LightTraining.steps, help="optimiser steps")
    parser.add_argument("--seed", type=int, default=LightTraining.seed)
    parser.add_argument("--threads", type=int, default=LightTraining.threads, help="CPU threads")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--measure", action="store_true", help="do not train: measure the weights at --output")
    parser.add_argument("--scenes", type=int, default=300, help="with --measure: held-out synthetic scenes")
    parser.add_argument("--real", type=Path, help="with --measure: a folder with images/, masks/, masks_completed/")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    set_threads(arguments.threads)
    settings = LightTraining(
        steps=arguments.steps,
        seed=arguments.seed,
        device=arguments.device,
        threads=arguments.threads,
    )
    if arguments.measure:
        result = measure(arguments.output, arguments.scenes, arguments.real)
    else:
        result = train_light_sam(settings, arguments.output, arguments.state)
    print(json.dumps(result, indent=1, sort_keys=True))


def measure(weights: Path, scenes: int, real: Path | None) -> dict:
    """Figures of the model card: held-out scenes, real images if there are, seconds a tile with 3 prompts."""
    sam = build_light_sam(weights)
    result: dict = {"held_out": evaluate_held_out(sam, scenes), "seconds_a_tile": seconds_a_tile(sam)}
    for masks in ("masks", "masks_completed"):
        if real is not None and (real / masks).is_dir():
            result[f"real, {masks}"] = evaluate_real(sam, real, masks)
    return result


def seconds_a_tile(sam: Sam) -> float:
    """Median time to encode a 256 px tile and to decode 3 prompts of box and point."""
    predictor = SamPredictor(sam)
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    boxes = torch.tensor([[10.0, 10, 90, 90], [100, 40, 200, 180], [30, 150, 240, 250]]) * (IMAGE_SIZE / 256)
    points = torch.stack([(boxes[:, :2] + boxes[:, 2:]) / 2], dim=1)
    times = []
    for _ in range(7):
        started = time.perf_counter()
        predictor.set_image(image)
        predictor.predict_torch(points, torch.ones(3, 1), boxes, multimask_output=False)
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)), 3)


if __name__ == "__main__":
    main()
