"""Training and test scenes that show the same ground."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from apsam.bounds import Bounds, boxes_touch
from apsam.errors import InputError
from apsam.files import sha256_file
from apsam.scenes import Scene, tile_files
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import SplitSettings, TileSettings
from apsam.tiles.shared_ground import shared_pixels


def check_ground(
    scenes: Sequence[Scene], places: dict[str, Bounds | None], tiles: TileSettings, split: SplitSettings
) -> list[str]:
    """Look for ground that a scene trains on and another is measured on.

    Args:
        scenes: All scenes of the sheet.
        places: West, south, east, north in degrees of the raster scenes, by name.
        tiles: How they are read.
        split: What is to become of shared ground.

    Returns:
        Notes on what is left out.

    Raises:
        InputError: There is shared ground, and it is not to be left out.
    """
    notes = []
    for one, other in _near(scenes, places):
        trains, measured = (one, other) if one.split != "test" and other.split != "train" else (other, one)
        assert measured.image is not None and trains.image is not None
        with SceneReader(measured.image, tiles) as test, SceneReader(trains.image, tiles) as training:
            pixels, share = shared_pixels(test, training)
        if not pixels:
            continue
        what = (
            f"scenes '{trains.name}' ({trains.split}) and '{measured.name}' ({measured.split}) show the same ground: "
            f"{pixels:,} valid pixels, {share:.1%} of '{measured.name}'"
        )
        if split.shared_ground == "error":
            raise InputError(
                f"{what}; figures would count as held out what was trained on. Give other scenes, or set "
                f"'split.shared_ground: leave_out', which leaves training tiles there out"
            )
        notes.append(f"{what}; training tiles there are left out (split.shared_ground)")
    _check_folders(scenes)
    return notes


def _near(scenes: Sequence[Scene], places: dict[str, Bounds | None]) -> Iterator[tuple[Scene, Scene]]:
    """Yield pairs of raster scenes of which one trains and the other is measured on, and whose boxes touch."""
    known = [(scene, place) for scene in scenes if (place := places.get(scene.name)) is not None]
    for (one, here), (other, there) in itertools.combinations(known, 2):
        parts = {one.split, other.split}
        if parts != {"train"} and parts != {"test"} and boxes_touch(here, there):
            yield one, other


def _check_folders(scenes: Sequence[Scene]) -> None:
    """Raise InputError where a file of ready-made tiles both trains and is measured on."""
    folders = [scene for scene in scenes if scene.kind == "folder"]
    for one, other in itertools.combinations(folders, 2):
        if {one.split, other.split} != {"train", "test"}:
            continue
        assert one.image is not None and other.image is not None
        if one.image.resolve() == other.image.resolve():
            raise InputError(
                f"scenes '{one.name}' ({one.split}) and '{other.name}' ({other.split}) are the same folder "
                f"{one.image}; give each part a folder of its own"
            )
        by_size: dict[int, list[Path]] = defaultdict(list)
        for file in tile_files(one.image):
            by_size[file.stat().st_size].append(file)
        for file in tile_files(other.image):
            for twin in by_size.get(file.stat().st_size, ()):
                if sha256_file(twin) == sha256_file(file):
                    raise InputError(
                        f"scenes '{one.name}' ({one.split}) and '{other.name}' ({other.split}) both hold the tile "
                        f"{twin.name} ({file}); remove it from one, or figures count as held out what was trained on"
                    )
