"""Which tiles a label table or grid speaks of: the scene, the tile size, the stride, and where the scene lies.

Names such as `r154_c308` are the same in every scene. So tables and grids written here say in two further columns,
`scene` and `grid`, which tiles they mean, and a table of other tiles is refused before it changes anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from affine import Affine

SCENE_COLUMN, GRID_COLUMN = "scene", "grid"

# What the column `grid` holds: `256 px, stride 154, 3f9a12cd`, or `files` for a folder of ready-made tiles.
TEXT = re.compile(r"(\d+) px, stride (\d+), ([0-9a-f]{8})")
FOLDER = "files"


@dataclass(frozen=True)
class GridIdentity:
    """The tiles of one scene.

    Attributes:
        scene: Name of the scene.
        size, stride: Pixels; 0 for a folder of ready-made tiles.
        place: Eight hex digits of where the raster lies and how large it is; empty for a folder.
    """

    scene: str
    size: int = 0
    stride: int = 0
    place: str = ""

    @property
    def text(self) -> str:
        """What the column `grid` holds."""
        return f"{self.size} px, stride {self.stride}, {self.place}" if self.size else FOLDER

    def mismatch(self, other: GridIdentity) -> str | None:
        """Say what `other` is of that this is not; None where both mean the same tiles."""
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
    """The identity of a raster's tiles; pixels of the raster may change, its frame may not."""
    frame = f"{height} {width} " + " ".join(f"{value:.9g}" for value in tuple(transform)[:6])
    return GridIdentity(scene, size, stride, hashlib.sha256(frame.encode()).hexdigest()[:8])


def parse_identity(scene: str, text: str) -> GridIdentity | None:
    """The identity that the columns `scene` and `grid` spell; None where they spell none."""
    if not scene:
        return None
    if text == FOLDER:
        return GridIdentity(scene)
    found = TEXT.fullmatch(text)
    return GridIdentity(scene, int(found[1]), int(found[2]), found[3]) if found else None


def common_identity(pairs: Sequence[tuple[str, str]]) -> GridIdentity | None:
    """The identity in the rows of a table.

    Args:
        pairs: Scene and grid of every row; rows that say neither are passed over.

    Returns:
        None where no row says it.

    Raises:
        ValueError: Rows speak of different scenes or grids, or of none that can be read; the message ends a sentence.
    """
    found = sorted({pair for pair in pairs if any(pair)})
    if not found:
        return None
    if len(found) > 1:
        (first, grid), (second, other) = found[:2]
        what = f"scenes '{first}' and '{second}'" if first != second else f"grids '{grid}' and '{other}'"
        raise ValueError(f"holds rows of several {what}; give one table a scene")
    identity = parse_identity(*found[0])
    if identity is None:
        raise ValueError(f"holds '{found[0][1]}' in the column '{GRID_COLUMN}', which is not a grid of apsam")
    return identity
