"""Tiles of the gallery as the page shows them: pictures, alternative texts, prompts as shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apsam.report.colours import compare, heat, palette_png, webp
from apsam.report.gallery import Gallery, GalleryTile

CAM_QUALITY = 70
PART_NAMES = {"test": "held out", "train": "training", "neither": "in neither part"}


@dataclass(frozen=True)
class Panel:
    """One picture of a tile; no `href` where it is missing, and for prompts, which lie over the tile's image."""

    key: str
    name: str
    alt: str
    href: str | None
    missing: bool = False


@dataclass(frozen=True)
class TileView:
    """One row of the gallery."""

    tile: GalleryTile
    key: str
    part_name: str
    size: int
    panels: list[Panel]
    boxes: list[tuple[float, float, float, float]]
    points: list[tuple[float, float]]


def tile_views(gallery: Gallery, limit: int) -> list[TileView]:
    """The tiles with their pictures, which take at most about `limit` characters in all."""
    quality = 78
    while quality > 30 and gallery.tiles:
        sample = gallery.tiles[:: max(1, len(gallery.tiles) // 6)]
        mean = sum(len(webp(tile.pixels["image"], quality)) for tile in sample) / len(sample)
        if mean * len(gallery.tiles) <= limit * 0.7:
            break
        quality -= 16
    return [_view(tile, quality, gallery.columns) for tile in gallery.tiles]


def _view(tile: GalleryTile, quality: int, columns: Sequence[tuple[str, str]]) -> TileView:
    names = dict(columns)
    place = f"tile {tile.index} of {tile.scene}"
    reference = tile.pixels.get("truth")
    panels = []
    for key, name in columns:
        if key == "prompts":
            count = len(tile.prompts)
            alt = f"{count} prompt{'s' if count != 1 else ''} over {place}, boxes and points"
            panels.append(Panel(key, name, alt, None))
        elif key not in tile.pixels:
            panels.append(Panel(key, name, f"{names[key]}: not there", None, missing=True))
        else:
            panels.append(
                Panel(key, name, _alt(key, name, tile, place), _href(key, tile.pixels[key], reference, quality))
            )
    return TileView(
        tile=tile,
        key=f"{tile.scene}-{tile.index}",
        part_name=PART_NAMES[tile.part],
        size=tile.pixels["image"].shape[0],
        panels=panels,
        boxes=[prompt.box for prompt in tile.prompts],
        points=[prompt.point for prompt in tile.prompts],
    )


def _href(key: str, pixels: np.ndarray, reference: np.ndarray | None, quality: int) -> str:
    if key == "image":
        return webp(pixels, quality)
    if key == "cam":
        return webp(np.ascontiguousarray(heat(pixels)[::2, ::2]), CAM_QUALITY)
    return palette_png(compare(pixels, None if key == "truth" else reference))


def _alt(key: str, name: str, tile: GalleryTile, place: str) -> str:
    if key == "image":
        return f"Image of {place}"
    if key == "cam":
        return f"CAM heat map of {place}"
    covered = float((tile.pixels[key] == 1).mean())
    return f"{name} of {place}: landslide on {covered:.0%} of it"
