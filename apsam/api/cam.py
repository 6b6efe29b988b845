"""Class activation map of an image of any size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from apsam.api.tiling import blend_tiles, windows_of
from apsam.localizer.cam import scale_to_one, tile_cams, to_bytes, unscaled_cams
from apsam.localizer.methods import Method
from apsam.localizer.settings import CamSettings
from apsam.localizer.surroundings import read_around
from apsam.tiles.pixels import Pixels
from apsam.tiles.settings import TileSettings


def image_cam(
    method: Method, image: Pixels, tiles: TileSettings, settings: CamSettings, device: torch.device
) -> np.ndarray:
    """Make the class activation map of an image.

    An image of one tile is processed like a positive tile in the stage `cams`. For a larger image, the unscaled CAMs of
    overlapping tiles are blended and then scaled to the maximum of the whole image, so that they share one scale.
    Memory is needed for one batch of tiles and the map.

    Args:
        method: Trained localizer on `device`, in evaluation mode.
        image: The open image.
        tiles: Size and overlap of tiles.
        settings: Views, normalisation, refinement, gamma, context, batch size.
        device: Where the localizer is.

    Returns:
        (H, W) uint8, 255 where the CAM is highest; 0 where the image has no data.
    """
    windows = windows_of(image.height, image.width, tiles)
    known = np.zeros((image.height, image.width), bool)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(windows), settings.batch_size):
            some = windows[start : start + settings.batch_size]
            valid = [image.read(*window)[1] for window in some.tolist()]
            for mask, (row, col, height, width) in zip(valid, some.tolist(), strict=True):
                place = known[row : row + height, col : col + width]
                place |= mask[: place.shape[0], : place.shape[1]] > 0
            pixels = np.stack([read_around(image, window, settings.context) for window in some])
            yield torch.from_numpy(pixels).to(device), torch.from_numpy(np.stack(valid)).to(device)

    if len(windows) == 1:
        [(images, valid)] = batches()
        return to_bytes(tile_cams(method, images, valid, settings), settings)[0, : image.height, : image.width]

    def evidence() -> Iterator[np.ndarray]:
        for images, valid in batches():
            yield from unscaled_cams(method, images, valid, settings).cpu().numpy()

    blended = blend_tiles(evidence(), windows, known.shape) * known
    return to_bytes(scale_to_one(torch.from_numpy(blended)[None], settings) ** settings.gamma, settings)[0] * known
