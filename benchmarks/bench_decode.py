"""Mask decoding: 1,000 prompts on 300 tiles in batches, against SAM's predictor tile by tile.

The predictor is measured twice: as the paper's code uses it, encoding each tile anew, and with stored embeddings.
"""

from __future__ import annotations

import argparse
import copy

import numpy as np
import torch

from apsam.device import pick_device, set_threads
from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.encode import encode_tiles
from apsam.sam.registry import NAMES, build_untrained, wrap_sam
from benchmarks.measuring import measure, ratio, write

from segment_anything import SamPredictor  # isort: skip

SIZE = (256, 256)


def make_prompts(count: int, tiles: int, seed: int = 0) -> PromptBatch:
    """Boxes with their centres, on tiles drawn at random: mixed counts a tile, as contours give them."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 180, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(15, 75, (count, 2))], axis=1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return PromptBatch(tile=np.sort(rng.integers(0, tiles, count)), boxes=boxes, points=centres)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sam", choices=NAMES, default="light")
    parser.add_argument("--tiles", type=int, default=300)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    torch.manual_seed(0)
    device = pick_device(arguments.device)
    images = np.random.default_rng(0).integers(0, 256, (arguments.tiles, 3, *SIZE), np.uint8)
    prompts = make_prompts(arguments.prompts, arguments.tiles)
    released = build_untrained(arguments.sam).eval().to(device)
    sam = wrap_sam(copy.deepcopy(released), arguments.sam)
    predictor = SamPredictor(released)
    embeddings = encode_tiles(sam, images)

    def predict(encode: bool) -> None:
        for tile in np.unique(prompts.tile):
            mine = prompts[prompts.tile == tile]
            if encode:
                predictor.set_image(images[tile].transpose(1, 2, 0))
            else:
                predictor.features = torch.from_numpy(embeddings[tile][None]).to(device).float()
                predictor.original_size, predictor.is_image_set = SIZE, True
                predictor.input_size = (sam.image_size, sam.image_size)
            boxes = predictor.transform.apply_boxes_torch(torch.from_numpy(mine.boxes), SIZE).to(device)
            points = predictor.transform.apply_coords_torch(torch.from_numpy(mine.points), SIZE).to(device)
            labels = torch.ones(len(mine), 1, device=device)
            masks, *_ = predictor.predict_torch(points[:, None], labels, boxes, multimask_output=False)
            masks.cpu()

    def decode() -> None:
        decode_prompts(sam, embeddings, prompts, SIZE)

    def encode_and_decode() -> None:
        decode_prompts(sam, encode_tiles(sam, images), prompts, SIZE)

    candidates = {
        "SamPredictor, encoding": lambda: predict(encode=True),
        "SamPredictor, stored embeddings": lambda: predict(encode=False),
        "apsam, stored embeddings": decode,
        "apsam, encoding": encode_and_decode,
    }
    measured = measure(candidates, arguments.repeats, warm=False)
    write(
        "decode",
        device,
        sam=arguments.sam,
        tiles=arguments.tiles,
        prompts=arguments.prompts,
        measured=measured,
        times_faster={
            f"{slow} / {fast}": ratio(measured, slow, fast)
            for slow, fast in (
                ("SamPredictor, encoding", "apsam, stored embeddings"),
                ("SamPredictor, encoding", "apsam, encoding"),
                ("SamPredictor, stored embeddings", "apsam, stored embeddings"),
            )
        },
    )


if __name__ == "__main__":
    main()
