"""Image encoding: SAM's predictor as the paper's code calls it, tile by tile, against ours.

Speed does not depend on the weights, so they are random; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import copy

import numpy as np
import torch

from apsam.device import bf16_pays, pick_device, set_threads
from apsam.sam.encode import encode_tiles
from apsam.sam.registry import NAMES, build_untrained, wrap_sam
from benchmarks.measuring import measure, ratio, write

from segment_anything import SamPredictor  # isort: skip

TILE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sam", choices=NAMES, default="vit_b")
    parser.add_argument("--tiles", type=int, default=2, help="tiles a round")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    torch.manual_seed(0)
    device = pick_device(arguments.device)
    images = np.random.default_rng(0).integers(0, 256, (arguments.tiles, 3, TILE, TILE), np.uint8)
    released = build_untrained(arguments.sam).eval().to(device)
    ours = wrap_sam(copy.deepcopy(released), arguments.sam)
    predictor = SamPredictor(released)
    answers: dict[str, np.ndarray] = {}

    def loop(name: str, bf16: bool) -> None:
        embeddings = []
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            for image in images:
                predictor.set_image(image.transpose(1, 2, 0))
                embeddings.append(predictor.get_image_embedding()[0].float().cpu().numpy())
        answers[name] = np.stack(embeddings)

    def encode(name: str, precision: str) -> None:
        answers[name] = encode_tiles(ours, images, precision=precision, dtype=np.float32)

    candidates = {
        "SamPredictor fp32": lambda: loop("SamPredictor fp32", bf16=False),
        "SamPredictor bf16": lambda: loop("SamPredictor bf16", bf16=True),
        "apsam fp32": lambda: encode("apsam fp32", "fp32"),
        "apsam bf16": lambda: encode("apsam bf16", "bf16"),
    }
    measured = measure(candidates, arguments.repeats)
    exact = answers["SamPredictor fp32"]
    for name, answer in answers.items():
        measured[name]["relative_error"] = float(np.linalg.norm(answer - exact) / np.linalg.norm(exact))
        measured[name]["tiles_a_second"] = round(arguments.tiles / measured[name]["wall_s"]["median"], 4)
    default = "apsam bf16" if bf16_pays(device) else "apsam fp32"
    write(
        "encode",
        device,
        sam=arguments.sam,
        tiles=arguments.tiles,
        tile_px=TILE,
        measured=measured,
        default=default,
        times_faster={name: ratio(measured, name, default) for name in measured if name != default},
    )


if __name__ == "__main__":
    main()
