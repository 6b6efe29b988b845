"""What a run was made on, and its figures in one glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from apsam.config import Config
from apsam.errors import InputError
from apsam.report.charts import bar_chart
from apsam.report.inputs import SCENE_WIDE, SECOND_ROUND, SOURCE_NAMES, Notes, SceneFiles, open_stack
from apsam.report.tables import find_row
from apsam.training.length import LOCALIZER_STEPS, RESUNET_STEPS, in_words

COVER_BINS = ((0.01, "under 1 %"), (0.05, "1 to 5 %"), (0.1, "5 to 10 %"), (0.25, "10 to 25 %"), (0.5, "25 to 50 %"))
COVER_ABOVE = "over 50 %"

SPLIT_NAMES = {"train": "training", "test": "held out", "blocks": "blocks of both"}


@dataclass(frozen=True)
class SceneFacts:
    """One scene in numbers.

    Attributes:
        name, kind, split: Of the sheet; `split` in words.
        size: Width and height in pixels, None for a folder of tiles.
        resolution: Metres, or None.
        train, test, neither: (tiles, tiles labelled positive) of each part.
        no_data: Share of the tiles' pixels without data.
        reference: Whether the sheet gives a mask.
    """

    name: str
    kind: str
    split: str
    size: tuple[int, int] | None
    resolution: float | None
    train: tuple[int, int]
    test: tuple[int, int]
    neither: tuple[int, int]
    no_data: float
    reference: bool


@dataclass(frozen=True)
class Dataset:
    """All scenes in numbers."""

    scenes: list[SceneFacts]
    tile_size: int
    tiles: int
    positive: int
    train: tuple[int, int]
    test: tuple[int, int]
    resolutions: list[float]


def describe_dataset(scenes: Sequence[SceneFiles], notes: Notes) -> Dataset:
    """Count tiles and labels.

    Raises:
        InputError: Not one tile stack is there.
    """
    facts, sizes = [], []
    for files in scenes:
        stack = open_stack(files.tiles, "tiles", files.name, notes)
        if stack is None:
            continue
        with stack:
            label, part = stack.read("label"), stack.read("part")
            size = stack.attributes["tile_size"]
            sizes.append(size)
            counts = [(int((part == p).sum()), int(label[part == p].sum())) for p in (0, 1, 255)]
            folder = stack.attributes["kind"] == "folder"
            known = len(label) * size * size
            if not folder:
                known = sum(int(batch["valid"].sum()) for _, batch in stack.batches(("valid",), 64))
            facts.append(
                SceneFacts(
                    files.name,
                    files.scene.kind,
                    SPLIT_NAMES[files.scene.split],
                    None if folder else (stack.attributes["width"], stack.attributes["height"]),
                    stack.attributes["resolution_m"],
                    counts[0],
                    counts[1],
                    counts[2],
                    no_data=1 - known / max(1, len(label) * size * size),
                    reference=files.scene.mask is not None,
                )
            )
    if not facts:
        raise InputError(
            f"{scenes[0].run if scenes else 'run'}: contains no tile stack, so there is nothing to report on; "
            "run the workflow first"
        )
    train, test, neither = (np.sum([getattr(f, part) for f in facts], axis=0) for part in ("train", "test", "neither"))
    tiles, positive = (int(v) for v in train + test + neither)
    resolutions = sorted({round(f.resolution, 3) for f in facts if f.resolution})
    of_train, of_test = (int(train[0]), int(train[1])), (int(test[0]), int(test[1]))
    return Dataset(facts, sizes[0], tiles, positive, of_train, of_test, resolutions)


def describe_methods(config: Config) -> list[tuple[str, str]]:
    """The choices that shape a run, one a stage; the first paragraph of the page says what the optional ones are."""
    asked = {"both": "points and boxes", "points": "points", "boxes": "boxes"}[config.masks.prompts]
    threshold = config.prompts.threshold
    chosen = "chosen tile by tile without labels" if threshold == "auto" else f"{threshold} of 255"
    baseline = config.cam_masks.threshold
    cut = "Otsu’s threshold of each tile" if baseline == "otsu" else f"{baseline} of 255"
    optional = []
    if config.ground.masks == "scene":
        optional.append(
            ("Scene-wide masks", "majority of views of the scene, prompts from heat maps learned from labels")
        )
    if config.self_training.rounds == 2:
        optional.append(("Second round", "pseudo-masks from maps of the first"))
    return [
        ("Localizer", f"{config.localizer.backbone}, {in_words(config.localizer.epochs, LOCALIZER_STEPS)}"),
        ("Prompts", f"{asked}, CAM threshold {chosen}"),
        ("SAM", config.sam.name),
        ("CAM baseline", cut),
        ("ResUNet", f"{config.resunet.encoder} encoder, {in_words(config.resunet.epochs, RESUNET_STEPS)}"),
        *optional,
    ]


@dataclass(frozen=True)
class LabelFacts:
    """Image-level labels compared with the reference mask, where that is known.

    Attributes:
        compared: Tiles compared, evenly spaced over all scenes.
        bare, missed: Tiles labelled positive without landslide in their reference mask, and labelled negative with one.
        chart: How much of a positive tile is landslide, as SVG.
    """

    compared: int
    bare: int
    missed: int
    chart: Markup


def describe_labels(covers: Sequence[tuple[int, float]]) -> LabelFacts | None:
    """Compare labels with the reference mask; None where no reference mask is known.

    Args:
        covers: Label and landslide share of each tile.
    """
    if not covers:
        return None
    shares = np.array([share for label, share in covers if label and share > 0])
    counts, _ = np.histogram(shares, [0, *(edge for edge, _ in COVER_BINS), 1.0001])
    bars = list(zip([*(name for _, name in COVER_BINS), COVER_ABOVE], counts.tolist(), strict=True))
    said = "; ".join(f"{name} of the tile: {count}" for name, count in bars)
    return LabelFacts(
        compared=len(covers),
        bare=sum(1 for label, share in covers if label and share == 0),
        missed=sum(1 for label, share in covers if not label and share > 0),
        chart=bar_chart(bars, "positive tiles, by landslide share", f"Landslide share of positive tiles: {said}"),
    )


@dataclass(frozen=True)
class Figure:
    """One figure of the summary: of APSAM, of the CAM baseline, and of what else the run has.

    Attributes:
        name: Of the figure.
        what: Of what it is.
        apsam, cam: Its values.
        others: Source and value of scene-wide masks and of the second round, where the run has them.
    """

    name: str
    what: str
    apsam: float | None
    cam: float | None
    others: tuple[tuple[str, float], ...] = ()

    @property
    def margin(self) -> float | None:
        """APSAM less CAM."""
        return None if self.apsam is None or self.cam is None else self.apsam - self.cam


def headline(metrics: Mapping[str, dict[str, Any] | None]) -> list[Figure]:
    """The figures to look at first, all on held-out tiles."""
    figures = []
    for file, key, name, what in (
        ("resunet", "f1", "F1", "ResUNet, held-out scenes"),
        ("resunet", "iou", "IoU", "ResUNet, held-out scenes"),
        ("pseudo_masks", "iou", "IoU", "pseudo-masks, held-out tiles"),
    ):
        rows = {source: find_row(metrics.get(file), source) for source in (SECOND_ROUND, SCENE_WIDE, "apsam", "cam")}
        found = {source: None if row is None else row.get(key) for source, row in rows.items()}
        apsam, cam = found.pop("apsam"), found.pop("cam")
        if apsam is not None or cam is not None:
            others = tuple((SOURCE_NAMES[source], value) for source, value in found.items() if value is not None)
            figures.append(Figure(name, what, apsam, cam, others))
    return figures
