"""Tiles to label next and labels that look wrong, for the report; reference masks have no part in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apsam.errors import ApsamError
from apsam.labelling.suggestion_pictures import SuggestionPicture, suggestion_pictures
from apsam.labelling.suggestions import SUSPECT, Suggestions, read_suggestions
from apsam.report.colours import webp_within
from apsam.report.inputs import Notes, SceneFiles

SHOWN = 12
TITLES = {"look": "Tiles to label next", "check": "Labels that look wrong"}
MEANINGS = {
    "look": "without label, the most useful first: localizer and map disagree or are undecided",
    "check": "localizer and map say the opposite, or the labels contradict each other",
}


@dataclass(frozen=True)
class SuggestedTile:
    """One tile with its picture as a data URI."""

    picture: SuggestionPicture
    href: str

    @property
    def alt(self) -> str:
        """The picture in words."""
        return f"Image of tile {self.picture.entry.tile} of {self.picture.entry.scene}"


@dataclass(frozen=True)
class SuggestionList:
    """Suggestions of one kind, the first of them with pictures."""

    kind: str
    total: int
    tiles: list[SuggestedTile]

    @property
    def title(self) -> str:
        """Heading."""
        return TITLES[self.kind]

    @property
    def meaning(self) -> str:
        """What the order is by."""
        return MEANINGS[self.kind]


def suggestion_lists(run: Path, scenes: Sequence[SceneFiles], limit: int, notes: Notes) -> list[SuggestionList]:
    """What a run suggests to look at; nothing where it suggests nothing, or was not asked.

    Args:
        run: `results/<run>`.
        scenes: Its scenes.
        limit: Characters that all pictures may take together.
        notes: Takes what cannot be read.
    """
    file = run / "suggestions/suggestions.json"
    if not file.is_file():
        return []
    try:
        found = read_suggestions(file)
        suspects = [entry for entry in found.of("check") if entry.score >= SUSPECT]
        shown = Suggestions([*found.of("look"), *suspects])
        tiles = {files.name: files.tiles for files in scenes}
        lists = []
        for kind in TITLES:
            pictures = suggestion_pictures(shown, kind, tiles, SHOWN)
            each = limit // (len(TITLES) * SHOWN)
            made = [SuggestedTile(picture, webp_within(picture.image, each)) for picture in pictures]
            if made:
                lists.append(SuggestionList(kind, len(shown.of(kind)), made))
        return lists
    except ApsamError as error:
        notes.add("suggestions", str(error))
        return []
