"""What a run has left to look at, and what of it is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from apsam.errors import ApsamError, InputError
from apsam.files import read_json
from apsam.maps.settings import MapSettings
from apsam.scenes import Scene
from apsam.stack import TileStack

MASK_SOURCES = ("apsam", "cam", "grabcut")
MAP_SOURCES = ("apsam", "cam")
SCENE_WIDE = "ground"
SECOND_ROUND = "self_training"
SOURCE_NAMES = {
    SECOND_ROUND: "Second round",
    SCENE_WIDE: "Scene-wide",
    "apsam": "APSAM",
    "cam": "CAM",
    "grabcut": "GrabCut",
    "everything": "Everything landslide",
    "nothing": "Nothing landslide",
    "centred_box": "Centred box",
    "box": "Centred box",
}


def map_sources(run: Path) -> tuple[str, ...]:
    """Pseudo-masks that the maps of a run were learned from, first that to look at first."""
    return (*(source for source in (SECOND_ROUND, SCENE_WIDE) if (run / "maps" / source).is_dir()), *MAP_SOURCES)


def mask_sources(run: Path) -> tuple[str, ...]:
    """Kinds of pseudo-masks that the tiles of a run have."""
    second = any((run / "masks" / SECOND_ROUND).glob("*.zarr.zip"))
    return (*MASK_SOURCES, SECOND_ROUND) if second else MASK_SOURCES


@dataclass(frozen=True)
class Note:
    """Something that is not in the report: what, why, and of which scenes (none: of the run)."""

    what: str
    why: str
    scenes: tuple[str, ...] = ()


@dataclass
class Notes:
    """What failed or was skipped, in the order it was met; the same thing of several scenes is one note."""

    _found: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, what: str, why: str, scene: str | None = None) -> None:
        """Note one thing; in `why` the scene's name becomes `<scene>`, so that notes of several scenes are alike."""
        if scene is not None:
            why = re.sub(rf"(?<![\w-]){re.escape(scene)}(?![A-Za-z0-9-])", "<scene>", why)
        scenes = self._found.setdefault((what, why), [])
        if scene is not None and scene not in scenes:
            scenes.append(scene)

    def all(self) -> list[Note]:
        """Every note; one that speaks of a single scene has its name back."""
        return [
            Note(what, why.replace("<scene>", scenes[0]) if len(scenes) == 1 else why, tuple(scenes))
            for (what, why), scenes in self._found.items()
        ]


@dataclass(frozen=True)
class SceneFiles:
    """Where the files of one scene lie.

    Attributes:
        run: `results/<run>`.
        scene: Its row of the sheet, paths of synthetic scenes filled in.
        mapped: Whether this run maps it; a map of one that it does not map is left from another sheet or setting.
    """

    run: Path
    scene: Scene
    mapped: bool

    @property
    def name(self) -> str:
        """The scene's name."""
        return self.scene.name

    @property
    def tiles(self) -> Path:
        """Tile stack."""
        return self.run / f"tiles/{self.name}.zarr.zip"

    @property
    def cams(self) -> Path:
        """CAM stack."""
        return self.run / f"cams/{self.name}.zarr.zip"

    @property
    def prompts(self) -> Path:
        """Prompt file."""
        return self.run / f"prompts/{self.name}.json"

    def masks(self, source: str) -> Path:
        """Stack of pseudo-masks."""
        return self.run / f"masks/{source}/{self.name}.zarr.zip"

    def map(self, source: str, product: str) -> Path:
        """Raster of the ResUNet, `product` probability or mask."""
        return self.run / f"maps/{source}/{self.name}_{product}.tif"

    def predicted_tiles(self, source: str) -> Path:
        """Archive of the ResUNet's masks for a folder of ready-made tiles."""
        return self.run / f"maps/{source}/{self.name}.zip"


def scene_files(run: Path, scenes: Sequence[Scene], maps: MapSettings) -> list[SceneFiles]:
    """The files of every scene of the sheet; synthetic scenes lie in the run. `maps` says which are mapped."""
    found = []
    for scene, mapped in zip(scenes, maps.of_scenes([scene.split for scene in scenes]), strict=True):
        if scene.kind == "synthetic":
            base = run / "scenes"
            scene = replace(scene, image=base / f"{scene.name}.tif", mask=base / f"{scene.name}_mask.tif")
        found.append(SceneFiles(run, scene, mapped))
    return found


def open_stack(path: Path, what: str, scene: str, notes: Notes) -> TileStack | None:
    """Open a stack that may be missing; a missing or broken one is noted."""
    try:
        return TileStack(path)
    except ApsamError as error:
        notes.add(what, str(error), scene)
        return None


def load_json(path: Path, what: str, notes: Notes) -> dict[str, Any] | None:
    """Read a JSON object that may be missing; a missing or broken one is noted."""
    try:
        value = read_json(path)
        if not isinstance(value, dict):
            raise InputError(f"{path}: contains no JSON object; remove it and run again")
        return value
    except InputError as error:
        notes.add(what, str(error))
        return None
