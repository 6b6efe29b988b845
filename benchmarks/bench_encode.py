"""Image encoding by alternatives: SAM's predictor tile by tile, as in the paper's code; segment-anything's encoder
on a batch; transformers' SamModel (pip install -e '.[bench]'); ours.

Speed does not depend on the weights, so they are random; nothing is downloaded. On a GPU:
python -m benchmarks.bench_encode --device cuda --sam vit_h --tiles 64
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from apsam.device import bf16_pays
from apsam.sam.encode import encode_tiles
from apsam.sam.frame import resize_tiles
from apsam.sam.registry import OFFICIAL, LoadedSam, build_untrained, wrap_sam
from benchmarks.measuring import TILE, measure, ratio, set_up, write
from benchmarks.real_sizes import VIT

from segment_anything import SamPredictor  # isort: skip


def transformers_encoder(name: str, device: torch.device) -> Callable[[np.ndarray], np.ndarray] | None:
    """Encode by transformers, including preprocessing, tile by tile; None if it is not installed."""
    try:
        from transformers import SamConfig, SamImageProcessor, SamModel, SamVisionConfig
    except ImportError:
        return None
    widths = VIT[name]
    vision = SamVisionConfig(**widths, **({"mlp_dim": 4 * widths["hidden_size"]} if widths else {}))
    model = SamModel(SamConfig(vision_config=vision)).eval().to(device)
    processor = SamImageProcessor()

    def encode(images: np.ndarray) -> np.ndarray:
        found = []
        for image in images:
            pixels = processor(images=[image.transpose(1, 2, 0)], return_tensors="pt")["pixel_values"].to(device)
            found.append(model.get_image_embeddings(pixels)[0].float().cpu().numpy())
        return np.stack(found)

    return encode


def released_batch(sam: LoadedSam, images: np.ndarray) -> np.ndarray:
    """Encode by segment-anything's encoder, with the released attention, all tiles at once."""
    pixels = sam.model.preprocess(resize_tiles(images, sam.image_size).to(sam.device).float())
    return sam.model.image_encoder(pixels).float().cpu().numpy()


@torch.no_grad()
def main() -> None:
    setup = set_up(__doc__, sams=tuple(OFFICIAL), sizes={"tiles": (2, 1, "tiles a round")})
    name, device, images = setup.options.sam, setup.device, setup.images(setup.options.tiles)
    released = build_untrained(name).eval().to(device)
    ours = wrap_sam(copy.deepcopy(released), name)
    theirs = wrap_sam(released, name, fast_attention=False)
    predictor, hugging_face = SamPredictor(released), transformers_encoder(name, device)
    answers: dict[str, np.ndarray] = {}

    def predict() -> np.ndarray:
        embeddings = []
        for image in images:
            predictor.set_image(image.transpose(1, 2, 0))
            embeddings.append(predictor.get_image_embedding()[0].float().cpu().numpy())
        return np.stack(embeddings)

    def candidate(label: str, encode: Callable[[], np.ndarray], bf16: bool = False) -> Callable[[], Any]:
        def run() -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                answers[label] = encode()

        return run

    ways: dict[str, tuple[Callable[[], np.ndarray], bool]] = {
        "SamPredictor, tile by tile, fp32": (predict, False),
        "SamPredictor, tile by tile, bf16": (predict, True),
        "segment-anything, a batch, bf16": (lambda: released_batch(theirs, images), True),
    }
    if hugging_face is not None:
        ways["transformers, tile by tile, fp32"] = (lambda: hugging_face(images), False)
        ways["transformers, tile by tile, bf16"] = (lambda: hugging_face(images), True)
    ways["apsam, fp32"] = (lambda: encode_tiles(ours, images, precision="fp32", dtype=np.float32), False)
    ways["apsam, bf16"] = (lambda: encode_tiles(ours, images, precision="bf16", dtype=np.float32), False)
    if setup.short:
        ways.pop("SamPredictor, tile by tile, bf16")
    candidates = {label: candidate(label, encode, bf16) for label, (encode, bf16) in ways.items()}
    # On a CPU the first round is no slower than the others, and takes minutes.
    measured = measure(candidates, setup.repeats, warm=device.type == "cuda")
    exact = answers["SamPredictor, tile by tile, fp32"]
    for label, row in measured.items():
        row["tiles_a_second"] = round(len(images) / row["wall_s"]["median"], 4)
        if not label.startswith("transformers"):  # its weights are other random ones
            row["relative_error"] = float(np.linalg.norm(answers[label] - exact) / np.linalg.norm(exact))
    default = "apsam, bf16" if bf16_pays(device) else "apsam, fp32"
    write(
        "encode",
        device,
        sam=name,
        tiles=len(images),
        tile_px=TILE,
        measured=measured,
        default=default,
        times_faster={f"{label} / {default}": ratio(measured, label, default) for label in ways if label != default},
    )


if __name__ == "__main__":
    main()
