"""CPN's superpixels of all training tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage.segmentation import slic

from apsam.localizer.offline.inputs import OfflineInputs
from apsam.progress import track
from apsam.stack import TileStackWriter


def make(inputs: OfflineInputs, output: Path) -> None:
    """Write SLIC's superpixels, `segment` (n, H, W) uint16 from 1 on, in the order of the tiles.

    R. Achanta et al., SLIC Superpixels Compared to State-of-the-Art Superpixel Methods, TPAMI 2012.

    Args:
        inputs: Training tiles and settings.
        output: Stack to make.
    """
    tiles, settings = inputs.tiles, inputs.settings.cpn
    side = tuple(tiles[0].image.shape[1:])
    attributes = {"made_for": "cpn", "made_by": settings.model_dump(mode="json")}
    with TileStackWriter(output, attributes, {"segment": (side, "uint16")}) as writer:
        for index in track(range(len(tiles)), "superpixels"):
            image = tiles[index].image.numpy().transpose(1, 2, 0)
            segments = slic(image, settings.segments, settings.compactness, start_label=1, channel_axis=2)
            writer.append(segment=segments.astype(np.uint16)[None])
