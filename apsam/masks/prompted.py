"""APSAM's pseudo-masks: SAM prompted by the CAM (paper, section II-C, equation 9)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.ground.gate import GroundGate
from apsam.masks.stack import BATCH, NO_DATA, same_tiles
from apsam.progress import track
from apsam.prompts.files import check_tile_order, read_prompts
from apsam.sam.registry import build_sam
from apsam.sam.segment import TileMask, segment_scene
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.stack import TileStack, TileStackWriter

# Overlap counts are stored as bytes; only "one" and "several" are distinguished.
MOST_OVERLAPS = 255


def make_prompted_masks(
    tiles: Path,
    cams: Path,
    prompts: Path,
    embeddings: Path,
    sam: SamSettings,
    settings: MasksSettings,
    output: Path,
    device: str = "auto",
    ground: Path | None = None,
) -> None:
    """Write SAM's pseudo-masks of one scene.

    Arrays: mask (size, size) uint8 {0, 1}, 255 where the tile is not valid; threshold int16, the CAM threshold of the
    selected prompt set, -1 for tiles without prompts; score float32 0..1, agreement with the CAM times predicted IoU.
    With `join: add` also claims (size, size) uint8: the number of prompts' masks with the pixel, at most 255,
    by which the metrics exclude the pixels that the paper's released code does not count.

    Args:
        tiles: Tile stack of the scene.
        cams: Its CAM stack.
        prompts: Its prompt file.
        embeddings: Its embedding stack, made with the same SAM.
        sam: Which SAM.
        settings: Prompts used, mask choice, CAM as mask prompt.
        output: The mask stack.
        device: `auto`, `cpu`, `cuda`.
        ground: Label map of the scene, to exclude pixels in negative tiles.

    Raises:
        InputError: Embeddings of another SAM, stacks of different runs, or prompts of tiles that do not exist.
    """
    content = read_prompts(prompts)
    with TileStack(tiles) as stack, same_tiles(tiles, cams), GroundGate(tiles, ground) as possible:
        check_tile_order(content, prompts, len(stack))
        model = build_sam(sam, device=device)
        answers = iter(segment_scene(model, embeddings, cams, content.tiles, settings))
        waiting: TileMask | None = next(answers, None)
        size, scene = stack.attributes["tile_size"], stack.attributes["scene"]
        made_by = {"sam": sam.model_dump(mode="json"), "masks": settings.model_dump(mode="json")}
        attributes = {"scene": scene, "source": "apsam", "made_by": made_by, "checkpoint": model.checkpoint_hash}
        specs = {"mask": ((size, size), "uint8"), "threshold": ((), "int16"), "score": ((), "float32")}
        added = settings.join == "add"
        if added:
            specs["claims"] = ((size, size), "uint8")
        with TileStackWriter(output, attributes, specs) as writer:
            for start in track(range(0, len(stack), BATCH), f"apsam masks of {scene}"):
                valid = stack.read("valid", start, start + BATCH)
                mask, overlap_count = np.zeros_like(valid), np.zeros_like(valid)
                threshold = np.full(len(valid), -1, np.int16)
                score = np.zeros(len(valid), np.float32)
                while waiting is not None and waiting.tile < start + len(valid):
                    row = waiting.tile - start
                    mask[row], score[row] = waiting.mask, waiting.score
                    overlap_count[row] = np.minimum(waiting.overlap_count, MOST_OVERLAPS)
                    threshold[row] = -1 if waiting.threshold is None else waiting.threshold
                    waiting = next(answers, None)
                allowed = possible.of(range(start, start + len(valid)))
                mask, overlap_count = mask * allowed, overlap_count * allowed
                writer.append(
                    mask=np.where(valid > 0, mask, NO_DATA).astype(np.uint8),
                    threshold=threshold,
                    score=score,
                    **({"claims": overlap_count} if added else {}),
                )
