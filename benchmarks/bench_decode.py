"""Mask decoding: 1,000 prompts on 300 tiles in batches, compared with SAM's predictor tile by tile.

The predictor is measured twice: as in the paper's code, encoding each tile again, and with stored embeddings.
"""

from __future__ import annotations

import copy

import numpy as np
import torch

from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.encode import encode_tiles
from apsam.sam.registry import build_untrained, wrap_sam
from benchmarks.measuring import TILE, measure, ratio, set_up, write

from segment_anything import SamPredictor  # isort: skip

SIZE = (TILE, TILE)


def make_prompts(count: int, tiles: int, seed: int = 0) -> PromptBatch:
    """Draw boxes with their centres, on random tiles: different numbers per tile, like those from contours."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 180, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(15, 75, (count, 2))], axis=1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return PromptBatch(tile=np.sort(rng.integers(0, tiles, count)), boxes=boxes, points=centres)


def main() -> None:
    sizes = {"tiles": (300, 60, "tiles"), "prompts": (1000, 200, "prompts on them")}
    setup = set_up(__doc__, sam="light", sizes=sizes)
    options, device = setup.options, setup.device
    images, prompts = setup.images(options.tiles), make_prompts(options.prompts, options.tiles)
    released = build_untrained(options.sam).eval().to(device)
    sam = wrap_sam(copy.deepcopy(released), options.sam)
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

    candidates = {
        "SamPredictor, encoding": lambda: predict(encode=True),
        "SamPredictor, stored embeddings": lambda: predict(encode=False),
        "apsam, stored embeddings": lambda: decode_prompts(sam, embeddings, prompts, SIZE),
        "apsam, encoding": lambda: decode_prompts(sam, encode_tiles(sam, images), prompts, SIZE),
    }
    measured = measure(candidates, setup.repeats, warm=device.type == "cuda")
    pairs = (
        ("SamPredictor, encoding", "apsam, stored embeddings"),
        ("SamPredictor, encoding", "apsam, encoding"),
        ("SamPredictor, stored embeddings", "apsam, stored embeddings"),
    )
    write(
        "decode",
        device,
        sam=options.sam,
        tiles=options.tiles,
        prompts=options.prompts,
        measured=measured,
        times_faster={f"{slow} / {fast}": ratio(measured, slow, fast) for slow, fast in pairs},
    )


if __name__ == "__main__":
    main()
