"""Tiles next to each other, as in the paper's Fig. 2: image, CAM, prompts, pseudo-masks, prediction, reference mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from apsam.metrics.scene import LEAST_COVER
from apsam.prompts.generate import Prompt
from apsam.report.inputs import MASK_SOURCES, SECOND_ROUND, SOURCE_NAMES, Notes, SceneFiles, mask_sources, open_stack
from apsam.report.settings import ReportSettings
from apsam.report.tile_pixels import SceneTiles
from apsam.tiles.parts import NEITHER

PARTS = {0: "train", 1: "test", 255: "neither"}

NO_DATA = 255

COLUMNS = (
    ("image", "Image"),
    ("cam", "CAM"),
    ("prompts", "Prompts"),
    *((f"masks-{source}", f"{SOURCE_NAMES[source]} mask") for source in (*MASK_SOURCES, SECOND_ROUND)),
    ("prediction", "ResUNet"),
    ("truth", "Reference mask"),
)
# Not every run has it.
OPTIONAL = f"masks-{SECOND_ROUND}"


@dataclass
class GalleryTile:
    """One tile of the gallery.

    Attributes:
        scene, index, part, label: Which tile, and its image-level label.
        window: row, col, height, width in the scene.
        score: What the order is by, 0..1; None for a false alarm, where IoU says nothing.
        judged: Whose IoU with the reference mask the score is, `prediction` or (where the scene is not mapped)
            `pseudo-mask`; `own score`: APSAM's.
        wrong: Share of the tile that is wrong, of a false alarm the share that is mapped as landslide and is none; of
            equal scores the one with the larger errors is worse.
        group: `worst`, `middle` or `best` of its part, or `false alarm` (no landslide in the reference mask).
        pixels: Column -> array: image (h, w, 3), cam (h, w) 0..255, masks and reference mask (h, w) {0, 1, 255};
            absent where there is none.
        prompts: Boxes and points that the pseudo-mask was made with, tile pixels.
        threshold: CAM threshold of those prompts.
    """

    scene: str
    index: int
    part: str
    label: int
    window: tuple[int, int, int, int]
    score: float | None
    judged: str
    wrong: float = 0.0
    group: str = "middle"
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    prompts: Sequence[Prompt] = ()
    threshold: int | None = None


@dataclass(frozen=True)
class Gallery:
    """The chosen tiles.

    Attributes:
        tiles: With their pixels, the worst first, then false alarms.
        measure: `iou` (with the reference mask) or `score` (APSAM's own, where no reference mask is known).
        candidates, total: Tiles that were compared, tiles of the run.
        covers: Of the compared tiles of either part with a reference mask, image-level label and landslide share.
    """

    tiles: list[GalleryTile]
    measure: str
    candidates: int
    total: int
    covers: list[tuple[int, float]]

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Key and heading of what is shown of each tile."""
        shown = any(OPTIONAL in tile.pixels for tile in self.tiles)
        return tuple(column for column in COLUMNS if shown or column[0] != OPTIONAL)


def make_gallery(scenes: Sequence[SceneFiles], settings: ReportSettings, notes: Notes) -> Gallery:
    """Choose tiles by their agreement with the reference mask, and read what is shown of them."""
    total, there, measure = 0, [], "score"
    for files in scenes:
        stack = open_stack(files.tiles, "tiles", files.name, notes)
        if stack is not None:
            with stack:
                total += len(stack)
            there.append(files)
            if files.scene.mask is not None and files.scene.mask.exists():
                measure = "iou"
    step = max(1, -(-total // settings.gallery_candidates))
    found: list[GalleryTile] = []
    covers: list[tuple[int, float]] = []
    # Scenes are opened one at a time, so that neither memory nor open files grow with their number.
    for files in there:
        with SceneTiles(files, notes) as scene:
            found += _candidates(scene, step, measure, covers)
    chosen = _choose(found, settings.gallery_tiles)
    for files in there:
        mine = [tile for tile in chosen if tile.scene == files.name]
        if mine:
            with SceneTiles(files, notes) as scene:
                for tile in mine:
                    _fill(tile, scene)
    if not chosen and settings.gallery_tiles:
        bare = measure == "iou"
        notes.add("gallery of tiles", "no tile shows enough of a landslide" if bare else "no pseudo-mask has a score")
    return Gallery(chosen, measure, len(range(0, total, step)), total, covers)


def _candidates(scene: SceneTiles, step: int, measure: str, covers: list[tuple[int, float]]) -> list[GalleryTile]:
    tiles = []
    judged = "own score" if measure == "score" else "prediction" if scene.prediction else "pseudo-mask"
    scores = scene.own_scores() if measure == "score" else None
    for index in range(0, len(scene.windows), step):
        group, wrong = "middle", 0.0
        if measure == "iou":
            mask = scene.predicted(index) if scene.prediction else scene.mask("apsam", index)
            reference = scene.reference(index)
            score, wrong = _agreement(mask, reference)
            # In neither part are tiles that are not labelled: their label 0 is none.
            if reference is not None and (reference != NO_DATA).any() and scene.part[index] != NEITHER:
                covers.append((int(scene.label[index]), float((reference == 1).sum() / (reference != NO_DATA).sum())))
            group = "middle" if score is not None else "false alarm"
            shown = score is not None or wrong >= LEAST_COVER  # of false alarms those that say something
        else:
            shown = scores is not None and bool(scene.label[index])
            score = float(scores[index]) if shown and scores is not None else None
        if shown:
            row, col, height, width = (int(v) for v in scene.windows[index])
            window = (row, col, height, width)
            part = PARTS.get(int(scene.part[index]), "neither")
            label = int(scene.label[index])
            tiles.append(GalleryTile(scene.files.name, index, part, label, window, score, judged, wrong, group))
    return tiles


def _agreement(mask: np.ndarray | None, reference: np.ndarray | None) -> tuple[float | None, float]:
    """IoU over the pixels known in both, and share of the tile that is wrong.

    Where the reference mask shows too little landslide, IoU is None and missed pixels are not counted as wrong.
    """
    if mask is None or reference is None:
        return None, 0.0
    known = (mask != NO_DATA) & (reference != NO_DATA)
    found, real = (mask == 1) & known, (reference == 1) & known
    common, union = np.count_nonzero(found & real), np.count_nonzero(found | real)
    if np.count_nonzero(real) < LEAST_COVER * mask.size:
        return None, np.count_nonzero(found & ~real) / mask.size
    return common / union, (union - common) / mask.size


def _choose(tiles: list[GalleryTile], wanted: int) -> list[GalleryTile]:
    """A sixth false alarms, the rest a third each worst, middle and best; two thirds of both held out."""
    alarms = sorted((t for t in tiles if t.score is None), key=_rank)
    alarms = _by_part(alarms, wanted // 6, lambda ranked, most: ranked[:most])
    scored = _by_part(sorted((t for t in tiles if t.score is not None), key=_rank), wanted - len(alarms), _thirds)
    return sorted(scored, key=_rank) + sorted(alarms, key=_rank)


def _rank(tile: GalleryTile) -> tuple[float, float, str, int]:
    return tile.score or 0.0, -tile.wrong, tile.scene, tile.index


def _by_part(
    ranked: list[GalleryTile], wanted: int, pick: Callable[[list[GalleryTile], int], list[GalleryTile]]
) -> list[GalleryTile]:
    held_out = [tile for tile in ranked if tile.part == "test"]
    others = [tile for tile in ranked if tile.part != "test"]
    share = max(wanted - len(others), round(wanted * 2 / 3))
    first = pick(held_out, min(share, len(held_out)))
    return first + pick(others, min(wanted - len(first), len(others)))


def _thirds(ranked: list[GalleryTile], wanted: int) -> list[GalleryTile]:
    if wanted <= 0:
        return []
    edge = min((wanted + 2) // 3, len(ranked))
    worst, rest = ranked[:edge], ranked[edge:]
    edge = min((wanted + 1) // 3, len(rest))
    best, rest = (rest[-edge:], rest[:-edge]) if edge else ([], rest)
    count = wanted - len(worst) - len(best)
    spread: list[int] = np.linspace(0, len(rest) - 1, count).round().astype(int).tolist() if rest else []
    middle = [rest[i] for i in sorted(set(spread))] if len(rest) else []
    for group, members in (("worst", worst), ("middle", middle), ("best", best)):
        for tile in members:
            tile.group = group
    return [*worst, *middle, *best]


def _fill(tile: GalleryTile, scene: SceneTiles) -> None:
    pixels = {
        "image": scene.image(tile.index),
        "cam": scene.cam(tile.index),
        "prediction": scene.predicted(tile.index),
        "truth": scene.reference(tile.index),
        **{f"masks-{source}": scene.mask(source, tile.index) for source in mask_sources(scene.files.run)},
    }
    tile.pixels = {key: values for key, values in pixels.items() if values is not None}
    tile.prompts, tile.threshold = scene.prompts(tile.index)
