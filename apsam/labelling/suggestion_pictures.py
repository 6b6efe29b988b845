"""Pictures of suggested tiles, for a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apsam.labelling.suggestions import Suggestion, Suggestions
from apsam.stack import TileStack


@dataclass(frozen=True)
class SuggestionPicture:
    """A suggestion and its picture, for a report.

    Attributes:
        entry: The suggestion.
        image: (size, size, 3) uint8 RGB.
        window: row, col, height, width in the scene.
    """

    entry: Suggestion
    image: np.ndarray
    window: tuple[int, int, int, int]


def suggestion_pictures(
    suggestions: Suggestions, kind: str, tiles: dict[str, Path], count: int = 12
) -> list[SuggestionPicture]:
    """Return the first suggestions of one kind with the pictures of their tiles.

    Args:
        suggestions: Suggestions of the run.
        kind: `look` or `check`.
        tiles: Scene -> tile stack.
        count: Maximum number.
    """
    found = []
    for entry in suggestions.of(kind)[:count]:
        with TileStack(tiles[entry.scene]) as stack:
            image = stack.read("image", entry.number, entry.number + 1)[0].transpose(1, 2, 0)
            row, col, height, width = stack.read("window", entry.number, entry.number + 1)[0].tolist()
        found.append(SuggestionPicture(entry, np.ascontiguousarray(image), (row, col, height, width)))
    return found
