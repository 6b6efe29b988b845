"""Training data of the ResUNet: part-0 tiles with their pseudo-masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from apsam.errors import InputError
from apsam.files import reserve
from apsam.stack import TileStack
from apsam.tiles.parts import TRAIN


class PseudoMaskTiles(Dataset[tuple[Tensor, Tensor]]):
    """Tiles of part 0, positive and negative, each with its pseudo-mask.

    The pixels are copied once into flat, memory-mapped files in `folder`: a tile is then read in 0.04 ms instead
    of 1 to 2 ms from its stack, and the number of tiles is not limited by memory.

    Args:
        tiles: Tile stacks, one per scene.
        masks: Stacks of pseudo-masks, in the same order.
        folder: An empty folder for the flat files; must exist as long as the data set.

    Attributes:
        certain: Value of a mask that means landslide.

    Raises:
        InputError: A stack and its masks do not match, or there are fewer than two training tiles.
    """

    certain = 1

    def __init__(self, tiles: Sequence[Path], masks: Sequence[Path], folder: Path) -> None:
        if len(tiles) != len(masks):
            raise InputError(f"{len(tiles)} tile stacks but {len(masks)} stacks of masks; give one for each scene")
        chosen = [_training_tiles(tile, mask) for tile, mask in zip(tiles, masks, strict=True)]
        count, size = sum(map(len, chosen)), _tile_size(tiles)
        if count < 2:
            raise InputError(
                f"{count} training tile(s) in {', '.join(map(str, tiles))}; the ResUNet needs at least two: "
                f"give a scene with 'split' train or blocks"
            )
        image = np.lib.format.open_memmap(folder / "image.npy", "w+", np.uint8, (count, 3, size, size))
        mask = np.lib.format.open_memmap(folder / "mask.npy", "w+", np.uint8, (count, size, size))
        for name in ("image.npy", "mask.npy"):
            reserve(folder / name)
        at = 0
        for tile_path, mask_path, indices in zip(tiles, masks, chosen, strict=True):
            with TileStack(tile_path) as tile_stack, TileStack(mask_path) as mask_stack:
                for index in indices:
                    image[at] = tile_stack.read_at("image", [index])[0]
                    mask[at] = mask_stack.read_at("mask", [index])[0]
                    at += 1
        self._image, self._mask = torch.from_numpy(image), torch.from_numpy(mask)
        self.positive = int((mask == 1).any(axis=(1, 2)).sum())

    def __len__(self) -> int:
        return len(self._image)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return image (3, s, s) uint8 RGB and pseudo-mask (s, s) uint8 {0, 1, 255}."""
        return self._image[index], self._mask[index]


def _training_tiles(tiles: Path, masks: Path) -> np.ndarray:
    with TileStack(tiles) as tile_stack, TileStack(masks) as mask_stack:
        if len(tile_stack) != len(mask_stack) or tile_stack.attributes["scene"] != mask_stack.attributes["scene"]:
            raise InputError(
                f"{masks}: {len(mask_stack)} masks of scene '{mask_stack.attributes['scene']}' do not fit the "
                f"{len(tile_stack)} tiles of scene '{tile_stack.attributes['scene']}' in {tiles}; make them again"
            )
        return np.flatnonzero(tile_stack.read("part") == TRAIN)


def _tile_size(tiles: Sequence[Path]) -> int:
    sizes = set()
    for path in tiles:
        with TileStack(path) as stack:
            sizes.add(int(stack.attributes["tile_size"]))
    if len(sizes) != 1:
        raise InputError(f"tile stacks of different tile sizes {sorted(sizes)}; tile all scenes alike")
    return sizes.pop()
