"""What a scene is measured against: its tiles, their parts, and the truth in tile space."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from apsam.errors import InputError
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.tiles.parts import TEST, TRAIN
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings
from apsam.tiles.tiling import mask_file
from apsam.truth import TruthReader

PROTOCOL = "held_out"
PARTS = {"train": TRAIN, "test": TEST}


@dataclass(frozen=True)
class MeasuredScene:
    """A scene with a true mask.

    Attributes:
        scene: Row of the scene sheet, with image and mask; those of a synthetic scene filled in.
        tiles: Its tile stack.
    """

    scene: Scene
    tiles: Path


class TileTruth:
    """The truth of a scene's tiles.

    Attributes:
        window: (n, 4) int32 of row, col, height, width.
        label: (n,) uint8 image-level labels {0, 1}.
        part: (n,) uint8: 0 train, 1 test, 255 neither.
        size: Side of a tile, pixels.

    Raises:
        InputError: The scene or its mask cannot be used.
    """

    def __init__(self, measured: MeasuredScene) -> None:
        self._measured = measured
        with TileStack(measured.tiles) as stack:
            attributes = stack.attributes
            self.window, self.label, self.part = (stack.read(name) for name in ("window", "label", "part"))
        self.size = int(attributes["tile_size"])
        self.names: list[str] | None = attributes["names"]

    def __enter__(self) -> TileTruth:
        self._open = ExitStack()
        scene = self._measured.scene
        if self.names is None:
            # Only the scene's grid is used here, so its bands and their stretch do not matter.
            reader = self._open.enter_context(SceneReader(scene.image, TileSettings(bands=(1, 1, 1))))
            self.truth = self._open.enter_context(TruthReader(scene.mask, reader))
            self.height, self.width = reader.height, reader.width
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def part_name(self, index: int) -> str | None:
        """ "train" or "test"; None for a tile that is in neither part."""
        return next((name for name, code in PARTS.items() if code == self.part[index]), None)

    def tile(self, index: int) -> np.ndarray:
        """Truth of one tile, (size, size) uint8 {0, 1, 255}; that of a ready-made tile is resized (nearest)."""
        if self.names is None:
            return self.truth.read(*self.window[index].tolist())
        return cv2.resize(self.own(index), (self.size, self.size), interpolation=cv2.INTER_NEAREST)

    def own(self, index: int) -> np.ndarray:
        """Truth of a ready-made tile at its own size, (height, width) uint8 {0, 1}."""
        scene = self._measured.scene
        path = mask_file(scene.mask, scene.image / self.names[index])
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise InputError(f"{path}: not an image that OpenCV can read")
        height, width = self.window[index][2:].tolist()
        if mask.shape != (height, width):
            raise InputError(f"{path}: is {mask.shape[1]} x {mask.shape[0]} px, its image {width} x {height}")
        return (mask > 0).astype(np.uint8)
