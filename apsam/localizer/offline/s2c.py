"""S2C's input from SAM: segments of the training tiles, and embeddings of the positive ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.localizer.offline.inputs import OfflineInputs
from apsam.progress import track
from apsam.sam.encode import as_type, encode_tiles
from apsam.sam.everything import segment_embedding
from apsam.sam.registry import build_sam
from apsam.sam.settings import EverythingSettings
from apsam.stack import TileStackWriter


def make(inputs: OfflineInputs, output: Path) -> None:
    """Write `segment` (n, H, W) uint16, 0 without a segment, and `embedding` (n, D, E, E) float16.

    Embeddings of negative tiles, which are never prompted, are zero. Small segments are drawn over large ones.

    Args:
        inputs: Training tiles and settings, including SAM's.
        output: Stack to make.
    """
    tiles = inputs.tiles
    sam = build_sam(inputs.sam, device=inputs.device)
    settings = inputs.settings.s2c
    asked = EverythingSettings(
        points_per_side=settings.points_per_side, min_iou=settings.min_iou, min_stability=settings.min_stability
    )
    height, width = tiles[0].image.shape[1:]
    side = (height, width)
    attributes = {
        "made_for": "s2c",
        "sam": inputs.sam.model_dump(mode="json"),
        "checkpoint_hash": sam.checkpoint_hash,
    }
    arrays = {"segment": (side, "uint16"), "embedding": (sam.embedding_shape, "float16")}
    with TileStackWriter(output, attributes, arrays) as writer:
        for index in track(range(len(tiles)), "segments"):
            image, label, _ = tiles[index]
            encoded = encode_tiles(
                sam,
                image.numpy()[None],
                precision=inputs.sam.precision,
                dtype=np.float32,
                channels=inputs.sam.channels,
            )
            found = segment_embedding(sam, encoded, side, asked)
            embedding = np.zeros((1, *sam.embedding_shape), np.float16)
            if label > 0:
                embedding = as_type(sam, encoded, np.float16)
            writer.append(segment=found.labels.astype(np.uint16)[None], embedding=embedding)
