"""File of suggestions (`apsam suggest`): tiles to label next in order, and labels that look wrong."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from apsam.errors import InputError
from apsam.files import atomic_path, read_json, write_json
from apsam.labelling.scene_tiles import SceneTiles

SCHEMA = 1

# Labels with at least this score look wrong; the list orders all labels.
SUSPECT = 0.5
FIELDS = ("rank", "kind", "scene", "tile", "number", "label", "score", "why")


@dataclass(frozen=True)
class Suggestion:
    """One tile.

    Attributes:
        rank: From 1, among those of its kind.
        kind: `look` (a tile without label) or `check` (a label that looks wrong).
        scene, tile, number: Identify the tile; the number is the run's.
        label: 0 or 1 of a tile to check; else None.
        score: 0..1, usefulness, or how probably the label is wrong.
        why: Reason, for the user.
    """

    rank: int
    kind: Literal["look", "check"]
    scene: str
    tile: str
    number: int
    label: int | None
    score: float
    why: str


@dataclass(frozen=True)
class Suggestions:
    """The suggestions of a run, best first within their kind."""

    entries: Sequence[Suggestion]

    def of(self, kind: str) -> list[Suggestion]:
        """Return those of one kind, in their order."""
        return [entry for entry in self.entries if entry.kind == kind]

    def check(self, scenes: Sequence[str]) -> None:
        """Raise InputError if none of them is of any of these scenes."""
        spoken = {entry.scene for entry in self.entries}
        if spoken and not spoken & set(scenes):
            raise InputError(
                f"the suggestions are of the scenes {', '.join(sorted(spoken))}, and the page has {', '.join(scenes)}; "
                f"name a scene as the run does: apsam label NAME=IMAGE ..."
            )

    def for_page(self, tiles: SceneTiles) -> dict[str, Any]:
        """Return the order for a scene of the label page: numbers of tiles, labels to check in `check`, and reasons.

        Raises:
            InputError: A tile does not belong to the scene.
        """
        number_of = dict(zip(tiles.names, tiles.numbers(), strict=True))
        found: dict[str, Any] = {"look": [], "check": [], "why": {}}
        for entry in self.entries:
            if entry.scene != tiles.name:
                continue
            number = number_of.get(entry.tile)
            if number is None:
                raise InputError(
                    f"the suggestions name the tile '{entry.tile}', which {tiles.image} does not have; were they made "
                    f"with another tile size (--settings)?"
                )
            if entry.kind == "look" or entry.score >= SUSPECT:
                found[entry.kind].append(number)
            found["why"][str(number)] = entry.why
        return found


def check_format(output: Path) -> None:
    """Raise InputError unless suggestions can be written to a path of this ending."""
    if output.suffix.lower() not in (".json", ".csv"):
        raise InputError(f"{output}: suggestions are written as .json or .csv")


def write_suggestions(suggestions: Suggestions, output: Path) -> None:
    """Write `.json` (read by `apsam label --order`) or `.csv` (for a spreadsheet).

    Raises:
        InputError: The path has another ending.
    """
    check_format(output)
    rows = [asdict(entry) for entry in suggestions.entries]
    if output.suffix.lower() == ".json":
        write_json(output, {"schema": SCHEMA, "suggestions": rows})
        return
    with atomic_path(output) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_suggestions(path: Path) -> Suggestions:
    """Read a JSON file written by `write_suggestions`.

    Raises:
        InputError: It has other content.
    """
    try:
        value = read_json(path)
        if value["schema"] != SCHEMA:
            raise InputError(
                f"{path}: has the schema {value['schema']}, this version reads {SCHEMA}; run apsam suggest"
            )
        return Suggestions([Suggestion(**row) for row in value["suggestions"]])
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: has no suggestions; apsam suggest RUN -o {path.with_suffix('.json')}") from error
