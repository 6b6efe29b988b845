"""Identify the tiles of a label table or grid: scene, tile size, stride, and frame of the raster.

Names such as `r154_c308` are the same in every scene. So tables and grids have two further columns,
`scene` and `grid`, that identify their tiles, and a table of other tiles is refused before it changes anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from affine import Affine

SCENE_COLUMN, GRID_COLUMN = "scene", "grid"

# Value of the column `grid`: `256 px, stride 154, 3f9a12cd`, or `files` for a folder of ready-made tiles.
TEXT = re.compile(r"(\d+) px, stride (\d+), ([0-9a-f]{8})")
FOLDER = "files"


@dataclass(frozen=True)
class GridIdentity:
    """Identity of the tiles of one scene.

    Attributes:
        scene: Name of the scene.
        size, stride: Pixels; 0 for a folder of ready-made tiles.
        place: Eight hex digits of the raster's transform and size; empty for a folder.
    """

    scene: str
    size: int = 0
    stride: int = 0
    place: str = ""

    @property
    def text(self) -> str:
        """Return the value of the column `grid`."""
        return f"{self.size} px, stride {self.stride}, {self.place}" if self.size else FOLDER

    def mismatch(self, other: GridIdentity) -> str | None:
        """Describe the difference to `other`; None if both are the same tiles."""
        if other.scene != self.scene:
            return f"of the scene '{other.scene}', not of '{self.scene}'"
        if bool(other.size) != bool(self.size):
            kinds = ("a folder of ready-made tiles", "a raster")
            return f"of {kinds[bool(other.size)]}, not of {kinds[bool(self.size)]}"
        if (other.size, other.stride) != (self.size, self.stride):
            return (
                f"for tiles of {other.size} px with a stride of {other.stride} px, not {self.size} px with "
                f"{self.stride} px (tiles.size, tiles.overlap)"
            )
        if other.place != self.place:
            return f"of a raster '{other.scene}' of another size or at another place"
        return None


def raster_identity(scene: str, size: int, stride: int, height: int, width: int, transform: Affine) -> GridIdentity:
    """Return the identity of a raster's tiles; it depends on the raster's frame, not on its pixels."""
    frame = f"{height} {width} " + " ".join(f"{value:.9g}" for value in tuple(transform)[:6])
    return GridIdentity(scene, size, stride, hashlib.sha256(frame.encode()).hexdigest()[:8])


def parse_identity(scene: str, text: str) -> GridIdentity | None:
    """Parse the columns `scene` and `grid`; None if they do not identify tiles."""
    if not scene:
        return None
    if text == FOLDER:
        return GridIdentity(scene)
    found = TEXT.fullmatch(text)
    return GridIdentity(scene, int(found[1]), int(found[2]), found[3]) if found else None


def common_identity(pairs: Sequence[tuple[str, str]]) -> GridIdentity | None:
    """Return the identity in the rows of a table.

    Args:
        pairs: Scene and grid of every row; rows without both are skipped.

    Returns:
        None if no row has one.

    Raises:
        ValueError: Rows have different scenes or grids, or invalid ones; the message ends a sentence.
    """
    found = sorted({pair for pair in pairs if any(pair)})
    if not found:
        return None
    if len(found) > 1:
        (first, grid), (second, other) = found[:2]
        what = f"scenes '{first}' and '{second}'" if first != second else f"grids '{grid}' and '{other}'"
        raise ValueError(f"contains rows of several {what}; give one table a scene")
    identity = parse_identity(*found[0])
    if identity is None:
        raise ValueError(f"contains '{found[0][1]}' in the column '{GRID_COLUMN}', which is not a grid of apsam")
    return identity
