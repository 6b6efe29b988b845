"""What was understood of the inputs, as tables that a person can verify at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class SceneReport:
    """One row of the scene sheet as it was understood; what is not known, or not examined, is None.

    Attributes:
        name, split, kind: Of the row.
        size: Width and height in pixels, or how many tiles a folder contains.
        resolution_m: Ground side of a pixel in the middle of the scene.
        crs: Code and name.
        bands: Bands and why they were chosen.
        valid: Share of pixels that are data.
        stretch: How values become 8 bit.
        labels: File, layer and kind of the labels.
        positive, negative, unlabelled: Tiles; `about` where no-data pixels or a sampled mask may change the counts.
        lengths_m: Median and largest length of the landslides near the scene.
        tile_m: Ground side of a tile.
        mask: File, layer and kind of the mask.
        mask_share: Share of landslide in what the mask knows, of the part that was looked at.
        mask_sampled: Whether only every so many of its pixels was looked at; the tiles' job reads all.
        notes: What was converted.
    """

    name: str
    split: str
    kind: str
    size: str = ""
    resolution_m: float | None = None
    crs: str = ""
    bands: str = ""
    valid: float | None = None
    stretch: str = ""
    labels: str = ""
    positive: int | None = None
    negative: int | None = None
    unlabelled: int | None = None
    about: bool = False
    lengths_m: tuple[float, float] | None = None
    tile_m: float | None = None
    mask: str = ""
    mask_share: float | None = None
    mask_sampled: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass
class Report:
    """Everything that was understood.

    Attributes:
        scenes: One for each row of the sheet.
        warnings: What may be wrong, each in one line.
        notes: What was converted, beyond single scenes.
    """

    scenes: list[SceneReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Three tables as text: scenes, labels and masks, what was converted."""
        rows = self.scenes
        parts = [
            _table(
                ("scene", "split", "size", "a pixel", "CRS", "bands", "valid", "to 8 bit"),
                [
                    (r.name, r.split, r.size, _metres(r.resolution_m), r.crs, r.bands, _share(r.valid), r.stretch)
                    for r in rows
                ],
            ),
            _table(
                (
                    "scene", "labels", "tiles with", "without", "not labelled", "landslides long", "tile side", "mask",
                    "landslide in it",
                ),
                [
                    (
                        r.name, r.labels, _count(r.positive, r.about), _count(r.negative, r.about),
                        _count(r.unlabelled, False), _lengths(r.lengths_m), _metres(r.tile_m), r.mask,
                        f"{_share(r.mask_share)}{' (sampled)' * r.mask_sampled}",
                    )
                    for r in rows
                ],
            ),
        ]  # fmt: skip
        converted = [f"{row.name}: {note}" for row in rows for note in row.notes] + self.notes
        if converted:
            parts.append("Converted:\n" + "\n".join(f"  {line}" for line in dict.fromkeys(converted)))
        return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns next to each other; those in which nothing is said are left out."""
    kept = [index for index in range(len(head)) if index == 0 or any(row[index] for row in rows)]
    lines = [[head[index] for index in kept], *([row[index] or "-" for index in kept] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(kept))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _metres(value: float | None) -> str:
    return "" if value is None else f"{value:.3g} m" if value < 1000 else f"{value:,.0f} m"


def _share(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value:.2%}"


def _count(value: int | None, about: bool) -> str:
    return "" if value is None else f"{'~' if about else ''}{value}"


def _lengths(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"{value[0]:.0f} m (longest {value[1]:.0f} m)"
