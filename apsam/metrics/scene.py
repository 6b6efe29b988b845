"""Reference data of a scene: its tiles, their parts, and the reference mask in tile space."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from apsam.errors import InputError
from apsam.reference_mask import ReferenceMaskReader
from apsam.scenes import Scene, read_scene_sheet
from apsam.stack import TileStack
from apsam.tiles.parts import TEST, TRAIN
from apsam.tiles.reader import SceneReader
from apsam.tiles.ready_made_masks import MaskFolder
from apsam.tiles.settings import TileSettings

PARTS = {"train": TRAIN, "test": TEST}

# Tiles with a smaller share of landslide are neither ranked by agreement nor shown, because their IoU is unstable.
LEAST_COVER = 0.01


@dataclass(frozen=True)
class MeasuredScene:
    """A scene with a reference mask.

    Attributes:
        scene: Row of the scene sheet, with image and mask; those of a synthetic scene filled in.
        tiles: Its tile stack.
    """

    scene: Scene
    tiles: Path

    def stack_in(self, folder: Path | str) -> Path:
        """Return its stack in a folder of mask or CAM stacks."""
        return Path(folder, f"{self.scene.name}.zarr.zip")

    def map_in(self, folder: Path | str) -> Path:
        """Return its mask in a folder of maps: a GeoTIFF, or for ready-made tiles the zip of their masks."""
        return Path(folder, f"{self.scene.name}{'.zip' if self.scene.kind == 'folder' else '_mask.tif'}")


def measured_scenes(
    sheet: Path, data_dir: Path | None, tiles: Path, synthetic: Path, only: Collection[str] | None = None
) -> list[MeasuredScene]:
    """Return the scenes of a sheet that have a reference mask.

    Args:
        sheet: The scene sheet.
        data_dir: Folder to which its paths are relative.
        tiles: Folder of the tile stacks.
        synthetic: Folder of the synthetic scenes.
        only: Names of the scenes; all by default.

    Raises:
        InputError: The sheet cannot be read.
    """
    measured = []
    for scene in read_scene_sheet(sheet, data_dir):
        if scene.kind == "synthetic":
            image, mask = synthetic / f"{scene.name}.tif", synthetic / f"{scene.name}_mask.tif"
            scene = replace(scene, image=image, mask=mask)
        if scene.mask is not None and (not only or scene.name in only):
            measured.append(MeasuredScene(scene, tiles / f"{scene.name}.zarr.zip"))
    return measured


def measured_scene(name: str, sheet: Path, data_dir: Path | None, tiles: Path, synthetic: Path) -> MeasuredScene:
    """Return one scene of a sheet; arguments as in `measured_scenes`.

    Raises:
        InputError: The sheet has no such scene, or it has no reference mask.
    """
    found = measured_scenes(sheet, data_dir, tiles, synthetic, [name])
    if not found:
        raise InputError(f"{sheet}: lists no scene '{name}' with a reference mask, so nothing can be measured on it")
    return found[0]


class TileReferenceMasks:
    """The reference mask of a scene's tiles.

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
        # Only the scene's grid is used here, so bands and stretch are irrelevant.
        resolution = attributes.get("made_by", {}).get("tiles", {}).get("resolution_m")
        self._grid = TileSettings(bands=(1, 1, 1), resolution_m=resolution)

    def __enter__(self) -> TileReferenceMasks:
        self._open = ExitStack()
        scene = self._measured.scene
        assert scene.image is not None and scene.mask is not None and scene.mask_source is not None
        if self.names is None:
            reader = self._open.enter_context(SceneReader(scene.image, self._grid))
            self.reference = self._open.enter_context(ReferenceMaskReader(scene.mask_source, reader, scene.mask_values))
            self.height, self.width, self.crs, self.grid = reader.height, reader.width, reader.crs, reader.grid
        else:
            self._masks = MaskFolder(scene.mask, scene.mask_values)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def part_name(self, index: int) -> str | None:
        """ "train" or "test"; None for a tile that is in neither part."""
        return next((name for name, code in PARTS.items() if code == self.part[index]), None)

    def tile(self, index: int) -> np.ndarray:
        """Read the reference mask of one tile, (size, size) uint8 {0, 1, 255}; ready-made ones resized (nearest)."""
        if self.names is None:
            return self.reference.read(*self.window[index].tolist())
        return cv2.resize(self.own(index), (self.size, self.size), interpolation=cv2.INTER_NEAREST)

    def own(self, index: int) -> np.ndarray:
        """Read the reference mask of a ready-made tile at its own size, (height, width) uint8 {0, 1, 255}."""
        assert self.names is not None
        height, width = self.window[index][2:].tolist()
        return self._masks.read(self.names[index], (height, width), int(self.label[index]))
