"""The scenes of a run: which of them are for training, held out, mapped or measured, and how each is divided."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cached_property

from apsam.config import Config
from apsam.scenes import Scene, image_files
from apsam.tiles.blocks import block_count, block_names, window_count
from apsam.tiles.windows import positions
from workflow_support.memory import Memory
from workflow_support.raster_size import raster_size


class SceneSets:
    """The scenes of a run.

    Attributes:
        config: The checked configuration.
        scenes: Rows of the scene sheet by name, in its order.
        memory: Cache of the sizes of rasters.
    """

    config: Config
    scenes: dict[str, Scene]
    memory: Memory

    @cached_property
    def names(self) -> list[str]:
        """All scenes."""
        return list(self.scenes)

    @cached_property
    def synthetic(self) -> list[str]:
        """Scenes that the workflow makes itself."""
        return [name for name, scene in self.scenes.items() if scene.kind == "synthetic"]

    @cached_property
    def training(self) -> list[str]:
        """Scenes with tiles to train on."""
        return [name for name, scene in self.scenes.items() if scene.split != "test"]

    @cached_property
    def held_out(self) -> list[str]:
        """Scenes with tiles to measure on."""
        return [name for name, scene in self.scenes.items() if scene.split != "train"]

    @cached_property
    def mapped(self) -> list[str]:
        """Scenes that are mapped: those to measure on, or all."""
        mapped = self.config.maps.of_scenes([scene.split for scene in self.scenes.values()])
        return list(itertools.compress(self.scenes, mapped))

    @cached_property
    def mapped_rasters(self) -> list[str]:
        """Mapped scenes that are rasters, not folders of ready-made tiles."""
        return [name for name in self.mapped if name in self.bands]

    @cached_property
    def measured(self) -> list[str]:
        """Scenes with a reference mask."""
        return self._measured(self.scenes)

    def _measured(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.scenes[name].kind == "synthetic" or self.scenes[name].mask]

    @cached_property
    def measured_held_out(self) -> list[str]:
        """Scenes with a reference mask that are not all for training."""
        return self._measured(self.held_out)

    @cached_property
    def measured_maps(self) -> list[str]:
        """Mapped scenes with a reference mask."""
        return self._measured(self.mapped)

    @cached_property
    def measured_training(self) -> list[str]:
        """Scenes with a reference mask that are not all held out."""
        return self._measured(self.training)

    @cached_property
    def blocks(self) -> dict[str, int]:
        """In how many blocks each scene is worked on (`apsam.tiles.blocks`)."""
        tiles = self.config.tiles
        return {name: self._count(name, tiles.stride) for name in self.names}

    @cached_property
    def bands(self) -> dict[str, int]:
        """In how many bands of rows each raster scene is mapped."""
        stride = self.config.maps.stride(self.config.tiles.size)
        rasters = [name for name, scene in self.scenes.items() if scene.kind != "folder"]
        return {name: min(self._rows(name, stride), self._count(name, stride)) for name in rasters}

    @cached_property
    def in_blocks(self) -> list[str]:
        """Scenes that are worked on in several blocks."""
        return [name for name, count in self.blocks.items() if count > 1]

    def units(self, name: str) -> list[str]:
        """The parts of a scene that are worked on one by one: itself, or its blocks."""
        return block_names(name, self.blocks[name])

    @cached_property
    def all_units(self) -> list[str]:
        """The units of all scenes."""
        return [unit for name in self.names for unit in self.units(name)]

    def _count(self, name: str, stride: int) -> int:
        """How many parts of `tiles.block_tiles` tiles, or windows at a step of `stride` pixels, a scene has."""
        scene, tiles = self.scenes[name], self.config.tiles
        if scene.kind == "folder":
            assert scene.image is not None
            count = len(image_files(scene.image))
        else:
            count = window_count(*self._size(name), tiles.size, stride)
        return block_count(count, tiles.block_tiles)

    def _rows(self, name: str, stride: int) -> int:
        """How many rows of windows a raster scene has: a band of a map is at least one."""
        return len(positions(self._size(name)[0], self.config.tiles.size, stride))

    def _size(self, name: str) -> tuple[int, int]:
        """Height and width of a raster scene as it is read."""
        scene, tiles = self.scenes[name], self.config.tiles
        if scene.kind == "synthetic":
            own = self.config.synthetic
            # Of averaged scenes about right: the jobs get the number of blocks as an option.
            side = round(own.size_px / max(1.0, (tiles.resolution_m or 0) / own.resolution_m))
            return side, side
        assert scene.image is not None
        return raster_size(scene.image, self.memory, tiles.resolution_m)
