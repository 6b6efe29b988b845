"""Everything a run knows of single tiles of one scene, opened once and read on demand."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from apsam.errors import ApsamError
from apsam.maps.tiles import MapTiles
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.prompts.files import read_prompts
from apsam.prompts.generate import Prompt, PromptSet
from apsam.report.inputs import SOURCE_NAMES, Notes, SceneFiles, map_sources, mask_sources, open_stack
from apsam.report.scene_maps import NO_REFERENCE_MASK, chosen_thresholds, fits, note_missing_map, used_set
from apsam.stack import TileStack


class SceneTiles:
    """Tiles of one scene: image, CAM, masks, prediction and reference mask, each None where the run has none.

    Args:
        files: Of the scene; its tile stack must exist.
        notes: Takes what is missing.

    Attributes:
        windows, label, part: Of all tiles.
        prediction: The masks that the ResUNet shown here learned from, or None.
    """

    def __init__(self, files: SceneFiles, notes: Notes) -> None:
        self.files, self._notes, self._open = files, notes, ExitStack()
        self._tiles = self._open.enter_context(TileStack(files.tiles))
        self.windows, self.label, self.part = (self._tiles.read(name) for name in ("window", "label", "part"))
        self._size = self._tiles.attributes["tile_size"]
        self._names = self._tiles.attributes.get("names")
        self._cams = self._stack(files.cams, "CAM")
        self._masks = {
            source: self._stack(files.masks(source), f"pseudo-masks, {SOURCE_NAMES[source]}")
            for source in mask_sources(files.run)
        }
        self.prediction: str | None = None
        self._maps = self._open_prediction()
        self._reference = self._open_reference_masks()
        self._used_prompts: dict[int, PromptSet] | None = None

    def __enter__(self) -> SceneTiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def image(self, index: int) -> np.ndarray:
        """(size, size, 3) uint8."""
        return np.ascontiguousarray(self._tiles.read("image", index, index + 1)[0].transpose(1, 2, 0))

    def cam(self, index: int) -> np.ndarray | None:
        """(size, size) uint8."""
        return None if self._cams is None else self._cams.read("cam", index, index + 1)[0]

    def mask(self, source: str, index: int) -> np.ndarray | None:
        """Pseudo-mask, (size, size) uint8 {0, 1, 255}."""
        stack = self._masks.get(source)
        return None if stack is None else stack.read("mask", index, index + 1)[0]

    def own_scores(self) -> np.ndarray | None:
        """APSAM's label-free score of every tile, (n,) float32."""
        stack = self._masks["apsam"]
        return stack.read("score") if stack is not None and "score" in stack.arrays else None

    def predicted(self, index: int) -> np.ndarray | None:
        """The ResUNet's mask, (size, size) uint8 {0, 1, 255}."""
        if self._maps is None:
            return None
        try:
            return self._maps.tile(index)
        except ApsamError as error:
            self._notes.add("prediction", str(error), self.files.name)
            return None

    def reference(self, index: int) -> np.ndarray | None:
        """(size, size) uint8 {0, 1, 255}."""
        if self._reference is None:
            return None
        try:
            return self._reference.tile(index)
        except ApsamError as error:
            self._notes.add("reference mask", str(error), self.files.name)
            return None

    def prompts(self, index: int) -> tuple[tuple[Prompt, ...], int | None]:
        """The prompts that made the pseudo-mask, and their CAM threshold."""
        if self._used_prompts is None:
            self._used_prompts = self._read_prompts()
        used = self._used_prompts.get(index)
        return (used.prompts, used.threshold) if used else ((), None)

    def _stack(self, path: Any, what: str) -> TileStack | None:
        stack = open_stack(path, what, self.files.name, self._notes)
        if stack is None:
            return None
        self._open.enter_context(stack)
        return stack if fits(stack, self.windows, self.files, self._notes) else None

    def _open_prediction(self) -> MapTiles | None:
        for source in map_sources(self.files.run):
            folder = self.files.scene.kind == "folder"
            path = self.files.predicted_tiles(source) if folder else self.files.map(source, "mask")
            if not self.files.mapped or not path.is_file():
                continue
            try:
                opened = self._open.enter_context(MapTiles(path, self.windows, self._names, self._size))
            except ApsamError as error:
                self._notes.add("prediction", str(error), self.files.name)
                continue
            self.prediction = source
            return opened
        note_missing_map(self.files, "prediction", path, self._notes)
        return None

    def _open_reference_masks(self) -> TileReferenceMasks | None:
        scene = self.files.scene
        if scene.mask is None:
            self._notes.add("reference mask", NO_REFERENCE_MASK, scene.name)
            return None
        try:
            return self._open.enter_context(TileReferenceMasks(MeasuredScene(scene, self.files.tiles)))
        except ApsamError as error:
            self._notes.add("reference mask", str(error), scene.name)
            return None

    def _read_prompts(self) -> dict[int, PromptSet]:
        try:
            thresholds = chosen_thresholds(self.files)
            entries = read_prompts(self.files.prompts).tiles
            used = {entry.tile: used_set(entry, thresholds) for entry in entries}
        except ApsamError as error:
            self._notes.add("prompts", str(error), self.files.name)
            return {}
        # Without the contours, which are most of the file.
        return {
            tile: replace(one, prompts=tuple(replace(prompt, contour=()) for prompt in one.prompts))
            for tile, one in used.items()
        }
