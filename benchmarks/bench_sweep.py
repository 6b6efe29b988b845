"""A sweep of 13 thresholds (50 to 170) against the SAM stage at one threshold: what stored embeddings are for."""

from __future__ import annotations

import argparse

import numpy as np
import torch

from apsam.device import pick_device, set_threads
from apsam.sam.decode import decode_prompts
from apsam.sam.encode import encode_tiles
from apsam.sam.registry import NAMES, build_untrained, wrap_sam
from benchmarks.bench_decode import SIZE, make_prompts
from benchmarks.measuring import measure, ratio, write

THRESHOLDS = range(50, 171, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sam", choices=NAMES, default="vit_b")
    parser.add_argument("--tiles", type=int, default=2)
    parser.add_argument("--prompts-per-tile", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    torch.manual_seed(0)
    device = pick_device(arguments.device)
    images = np.random.default_rng(0).integers(0, 256, (arguments.tiles, 3, *SIZE), np.uint8)
    sam = wrap_sam(build_untrained(arguments.sam).to(device), arguments.sam)
    count = arguments.tiles * arguments.prompts_per_tile

    def stage(thresholds: int) -> None:
        embeddings = encode_tiles(sam, images)
        for seed in range(thresholds):
            decode_prompts(sam, embeddings, make_prompts(count, arguments.tiles, seed), SIZE)

    one, sweep = "one threshold", f"{len(THRESHOLDS)} thresholds"
    measured = measure({one: lambda: stage(1), sweep: lambda: stage(len(THRESHOLDS))}, arguments.repeats)
    write(
        "sweep",
        device,
        sam=arguments.sam,
        tiles=arguments.tiles,
        prompts_per_tile=arguments.prompts_per_tile,
        measured=measured,
        times_as_long=ratio(measured, sweep, one),
    )


if __name__ == "__main__":
    main()
