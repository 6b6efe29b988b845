"""Compare full-image SAM (prompted by a grid of points) with APSAM (prompted by the CAM); paper, Fig. 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apsam.experiments.table import PART, Column, Experiment
from apsam.figures import STYLE, picture_grid, save_figure
from apsam.metrics.counts import Counts
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.prompts.files import read_prompts
from apsam.prompts.generate import Prompt
from apsam.protocol import HELD_OUT
from apsam.sam.embeddings import EmbeddingStore
from apsam.sam.everything import LabelMap, segment_embedding
from apsam.sam.registry import LoadedSam, build_sam
from apsam.sam.settings import EverythingSettings, SamSettings
from apsam.stack import TileStack

NAME = "everything_vs_apsam"
COLUMNS = (
    Column("scene", "Scene"),
    Column("tile", "Tile"),
    PART,
    Column("objects", "Objects of full-image SAM", "integer"),
    Column("covered", "Share of the tile they cover", "share"),
    Column("apsam_iou", "APSAM: IoU with the reference mask", "share"),
    Column("best_object_iou", "Best object: IoU with the reference mask", "share"),
    Column("all_objects_iou", "All objects: IoU with the reference mask", "share"),
    Column("best_object_apsam_iou", "Best object: IoU with APSAM's mask", "share"),
)


@dataclass(frozen=True)
class SceneFiles:
    """A scene and its files of a run."""

    measured: MeasuredScene
    cams: Path
    prompts: Path
    embeddings: Path
    masks: Path


@dataclass(frozen=True)
class Compared:
    """One tile: pixels to draw, and its row of the table."""

    image: np.ndarray
    cam: np.ndarray
    prompts: Sequence[Prompt]
    found: LabelMap
    mask: np.ndarray
    reference: np.ndarray
    row: dict[str, Any]


def compare_everything(
    scenes: Sequence[SceneFiles],
    sam: SamSettings,
    settings: EverythingSettings,
    tiles: int,
    protocol: str = HELD_OUT,
    device: str = "auto",
) -> tuple[Experiment, list[Compared]]:
    """Segment every object of some tiles with SAM, on their stored embeddings, and compare them with APSAM's masks.

    Tiles are sampled evenly over those that are labelled positive, show a landslide in the reference mask and were
    encoded; held-out ones if there are any. Nothing else is used, so the picture has no selected cases.

    Args:
        scenes: Scenes with a reference mask.
        sam: The section `sam`.
        settings: Grid and filters of the full-image mode.
        tiles: Number of tiles.
        protocol: Stored in the table.
        device: `auto`, `cpu`, `cuda`.
    """
    model = build_sam(sam, device=device)
    places = [place for index, files in enumerate(scenes) for place in _candidates(index, files)]
    held_out = [place for place in places if place[2] == "test"] or places
    chosen = [held_out[i] for i in np.linspace(0, len(held_out) - 1, min(tiles, len(held_out))).round().astype(int)]
    found = [_compare(model, scenes[index], tile, part, settings) for index, tile, part in chosen]
    compared = [each for each in found if each is not None]
    rows = [each.row for each in compared]
    if rows:
        rows.append(_mean(rows))
    side = settings.points_per_side
    notes = [
        f"Full-image SAM ({sam.name}) with {side} x {side} points, kept above a predicted IoU of {settings.min_iou:g} "
        f"and a stability of {settings.min_stability:g}; the same embeddings as APSAM's.",
        f"{len(compared)} tiles, sampled evenly over {len(held_out)} labelled positive"
        f"{' and held out' if held_out is not places else ''}; "
        "tiles without landslide in the reference mask are left out.",
        "'Best object' is chosen with the reference mask (or with APSAM's mask): full-image SAM itself does not say "
        "which of its objects is a landslide.",
    ]
    return Experiment(NAME, "Full-image SAM against APSAM (paper, Fig. 4)", protocol, COLUMNS, rows, notes), compared


def _candidates(index: int, files: SceneFiles) -> list[tuple[int, int, str]]:
    """Return (scene, tile, part) of the encoded tiles of one scene that are labelled positive."""
    with TileReferenceMasks(files.measured) as reference, EmbeddingStore(files.embeddings) as store:
        return [
            (index, tile, part)
            for tile in store.tiles
            if reference.label[tile] == 1 and (part := reference.part_name(tile)) is not None
        ]


def _compare(sam: LoadedSam, files: SceneFiles, tile: int, part: str, settings: EverythingSettings) -> Compared | None:
    with TileReferenceMasks(files.measured) as reference:
        there = reference.tile(tile)
    if not (there == 1).any():
        return None
    with TileStack(files.measured.tiles) as stack, TileStack(files.cams) as cams, TileStack(files.masks) as masks:
        image, valid = stack.read("image", tile, tile + 1)[0], stack.read("valid", tile, tile + 1)[0]
        cam, mask = cams.read("cam", tile, tile + 1)[0], masks.read("mask", tile, tile + 1)[0]
        scene, threshold = stack.attributes["scene"], int(masks.read("threshold", tile, tile + 1)[0])
    with EmbeddingStore(files.embeddings) as store:
        embedding = store.read([tile])
    entries = {entry.tile: entry.sets for entry in read_prompts(files.prompts).tiles}
    # Of several sets (prompts.threshold: auto) that of APSAM's mask.
    prompts = [prompt for each in entries.get(tile, ()) if each.threshold == threshold for prompt in each.prompts]
    found = segment_embedding(sam, embedding, image.shape[1:], settings)
    known = np.where(valid > 0, there, 255)
    objects = [found.labels == number for number in range(1, len(found.iou) + 1)]
    figures = {
        "scene": scene,
        "tile": tile,
        "part": part,
        "objects": len(objects),
        "covered": float((found.labels > 0).mean()),
        "apsam_iou": _iou(mask, known),
        "best_object_iou": max((_iou(each, known) for each in objects), default=0.0),
        "all_objects_iou": _iou(found.labels > 0, known),
        "best_object_apsam_iou": max((_iou(each, mask) for each in objects), default=0.0),
    }
    return Compared(image.transpose(1, 2, 0), cam, prompts, found, mask, there, figures)


def _iou(guess: np.ndarray, reference: np.ndarray) -> float:
    """Return the IoU where both are known; 0 if both are empty."""
    return Counts.of(guess.astype(np.uint8), reference).iou or 0.0


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    shares = [column.key for column in COLUMNS if column.kind == "share"]
    objects = round(float(np.mean([row["objects"] for row in rows])))
    return {
        "scene": "mean", "objects": objects, **{key: float(np.mean([row[key] for row in rows])) for key in shares}
    }  # fmt: skip


def draw_everything(compared: Sequence[Compared], output: Path) -> None:
    """Draw the paper's Fig. 4, a row for each tile: image, CAM with prompts, full-image SAM, APSAM, reference mask."""
    from matplotlib import rc_context

    columns = ["Image", "CAM and prompts", "Full-image SAM", "APSAM", "Reference mask"]
    with rc_context(STYLE):
        figure, axes = picture_grid(max(1, len(compared)), columns, inch=1.2)
        for row, tile in zip(axes, compared, strict=bool(compared)):
            _draw_tile(row, tile)
        save_figure(figure, output)


def _draw_tile(axes: np.ndarray, tile: Compared) -> None:
    from matplotlib.patches import Rectangle

    axes[0].imshow(tile.image)
    axes[1].imshow(tile.cam, cmap="inferno", vmin=0, vmax=255)
    for prompt in tile.prompts:
        x0, y0, x1, y1 = prompt.box
        axes[1].add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, color="white", lw=0.9))
        axes[1].plot(*prompt.point, "o", color="#f0e442", ms=2.5, mec="black", mew=0.4)
    # Neighbouring numbers must differ in colour; with a fixed seed the picture is the same in every run.
    colours = np.random.default_rng(0).integers(60, 256, (len(tile.found.iou) + 1, 3)).astype(np.uint8)
    colours[0] = (22, 24, 27)
    axes[2].imshow(colours[tile.found.labels], interpolation="nearest")
    for axis, mask in ((axes[3], tile.mask), (axes[4], tile.reference)):
        grey = np.select([mask == 1, mask == 255], [244, 112], 22).astype(np.uint8)
        axis.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
