"""Decode prompts to masks, tile by tile, for the pseudo-mask stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from apsam.prompts.generate import Prompt, TilePrompts
from apsam.sam.batches import BatchSize, decode_batch
from apsam.sam.cam_prompt import cam_to_mask_prompt
from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.embeddings import Embeddings, EmbeddingStore, of_tiles
from apsam.sam.encode import read_ahead
from apsam.sam.model import LoadedSam
from apsam.sam.select import agreement, pick_set
from apsam.sam.settings import MasksSettings
from apsam.stack import TileStack

# Prompts with full-size masks in memory at a time, 256 KB each at 256 px, for scenes of any size.
PROMPTS_HELD = 128


@dataclass(frozen=True)
class PromptSetResult:
    """SAM's result for one prompt set of a tile.

    Attributes:
        tile: Index in the tile stack.
        threshold: CAM threshold of the set.
        overlap_count: (h, w) uint32, number of the set's prompts with the pixel in their mask; above 0 is the union.
        agreement: Soft IoU of SAM's probability and the CAM, 0..1.
        iou: SAM's predicted IoU, mean over the set's prompts; 0 without prompts.
    """

    tile: int
    threshold: float
    overlap_count: np.ndarray
    agreement: float
    iou: float

    @property
    def mask(self) -> np.ndarray:
        """(h, w) uint8 {0, 1}, the union over the prompts."""
        return (self.overlap_count > 0).astype(np.uint8)


@dataclass(frozen=True)
class TileMask:
    """SAM's result for one tile.

    Attributes:
        tile: Index in the tile stack.
        mask: (h, w) uint8 {0, 1}, the union over the prompts of the selected set.
        threshold: The CAM threshold of the selected set; None if the tile has no set.
        score: Agreement with the CAM times predicted IoU of the selected set, 0..1; 0 without prompts.
        iou: SAM's predicted IoU, mean over the selected set's prompts; 0 without prompts.
        overlap_count: (h, w) uint32, number of prompts of the selected set with the pixel in their mask.
    """

    tile: int
    mask: np.ndarray
    threshold: float | None
    score: float
    iou: float
    overlap_count: np.ndarray


def decode_prompt_sets(
    sam: LoadedSam,
    embeddings: np.ndarray | Embeddings,
    tiles: Sequence[TilePrompts],
    cams: np.ndarray,
    settings: MasksSettings,
    batch: BatchSize | None = None,
) -> list[list[PromptSetResult]]:
    """Decode every prompt of every set of some tiles and combine the masks of each set.

    Args:
        embeddings: (n, D, E, E), one for each of `tiles`, or those of a store.
        tiles: Prompts of n tiles.
        cams: (n, h, w) uint8, the CAM of each of `tiles`.
        settings: The section `masks` of the configuration.
        batch: Shared by the calls of one job; None: that of the settings.

    Returns:
        For each of `tiles` the results of its sets, in their order.
    """
    size = cams.shape[1:]
    sets = [(row, entry) for row, tile in enumerate(tiles) for entry in tile.sets]
    prompts = [(place, row, prompt) for place, (row, entry) in enumerate(sets) for prompt in entry.prompts]
    combined = np.full((len(sets), *size), -np.inf, np.float32)
    overlap_count = np.zeros((len(sets), *size), np.uint32)
    iou = np.zeros(len(sets))
    if prompts:
        embeddings = of_tiles(embeddings)
        rows, entries = [row for _, row, _ in prompts], [prompt for *_, prompt in prompts]
        asked = _prompt_batch(sam, embeddings, rows, entries, cams, settings)
        decoded = decode_prompts(
            sam, embeddings, asked, size, settings.mask_choice, settings.mask_index, batch or settings.batch
        )  # fmt: skip
        for (place, _, _), logits, quality in zip(prompts, decoded.logits[:, 0], decoded.iou[:, 0], strict=True):
            np.maximum(combined[place], logits, out=combined[place])
            overlap_count[place] += logits > sam.mask_threshold
            iou[place] += quality / len(sets[place][1].prompts)
    probability = torch.from_numpy(combined).sigmoid().numpy()
    agreements = agreement(probability, cams[[row for row, _ in sets]])
    results: list[list[PromptSetResult]] = [[] for _ in tiles]
    for place, (row, entry) in enumerate(sets):
        results[row].append(
            PromptSetResult(
                tiles[row].tile, entry.threshold, overlap_count[place], float(agreements[place]), float(iou[place])
            )
        )
    return results


def segment_tile_prompts(
    sam: LoadedSam,
    embeddings: np.ndarray | Embeddings,
    tiles: Sequence[TilePrompts],
    cams: np.ndarray,
    settings: MasksSettings,
    batch: BatchSize | None = None,
) -> list[TileMask]:
    """Decode all sets of some tiles (`decode_prompt_sets`), and select one set per tile without labels.

    Returns:
        One mask for each of `tiles`, in their order.
    """
    masks = []
    for tile, results in zip(tiles, decode_prompt_sets(sam, embeddings, tiles, cams, settings, batch), strict=True):
        if not results:
            mask, overlap_count = (np.zeros(cams.shape[1:], dtype) for dtype in (np.uint8, np.uint32))
            masks.append(TileMask(tile.tile, mask, None, 0.0, 0.0, overlap_count))
            continue
        place = pick_set(np.array([a.agreement for a in results]), np.array([a.iou for a in results]))
        chosen = results[place]
        score = float(chosen.agreement * np.clip(chosen.iou, 0, 1))
        masks.append(TileMask(tile.tile, chosen.mask, chosen.threshold, score, chosen.iou, chosen.overlap_count))
    return masks


def segment_scene(
    sam: LoadedSam, embeddings: Path, cams: Path, tiles: Sequence[TilePrompts], settings: MasksSettings
) -> Iterator[TileMask]:
    """Yield the mask of every tile that has prompts, in their order; memory does not grow with the scene.

    Args:
        embeddings: Embedding stack of the scene, made with the same SAM.
        cams: CAM stack of the scene.
        tiles: Prompts of the scene's tiles.
        settings: The section `masks` of the configuration.

    Raises:
        InputError: The embeddings are of another SAM, or missing for a tile that has prompts.
    """
    batch = decode_batch(settings.batch, sam.device, sam.embedding_shape)
    for part, images, maps in read_scene(sam, embeddings, cams, tiles):
        yield from segment_tile_prompts(sam, images, part, maps, settings, batch)


def read_scene(
    sam: LoadedSam, embeddings: Path, cams: Path, tiles: Sequence[TilePrompts]
) -> Iterator[tuple[list[TilePrompts], Embeddings, np.ndarray]]:
    """Yield some of `tiles` at a time, as many as fit into memory, with their embeddings and CAMs.

    Raises:
        InputError: The embeddings are of another SAM, or missing for a tile that has prompts.
    """
    with EmbeddingStore(embeddings, sam) as store, TileStack(cams) as cam_stack:
        store.check([tile.tile for tile in tiles])

        def read(part: list[TilePrompts]) -> tuple[list[TilePrompts], Embeddings, np.ndarray]:
            numbers = [tile.tile for tile in part]
            return part, store.read(numbers), cam_stack.read_at("cam", numbers)

        yield from read_ahead(read(part) for part in _parts(tiles))


def _parts(tiles: Iterable[TilePrompts]) -> Iterator[list[TilePrompts]]:
    """Divide a scene's tiles into runs with about `PROMPTS_HELD` prompts (a tile is never divided)."""
    part: list[TilePrompts] = []
    held = 0
    for tile in tiles:
        count = 1 + sum(len(entry.prompts) for entry in tile.sets)
        if part and held + count > PROMPTS_HELD:
            yield part
            part, held = [], 0
        part.append(tile)
        held += count
    if part:
        yield part


def _prompt_batch(
    sam: LoadedSam,
    embeddings: Embeddings,
    rows: list[int],
    prompts: list[Prompt],
    cams: np.ndarray,
    settings: MasksSettings,
) -> PromptBatch:
    with_points, with_boxes = settings.prompts != "boxes", settings.prompts != "points"
    masks = None
    if settings.cam_mask:
        masks = cam_to_mask_prompt(_framed(cams, embeddings), sam.mask_input_size, sam.stretches).numpy()[rows]
    return PromptBatch(
        tile=np.array(rows),
        boxes=np.array([prompt.box for prompt in prompts], float) if with_boxes else None,
        points=np.array([prompt.point for prompt in prompts], float) if with_points else None,
        point_labels=np.array([prompt.point_label for prompt in prompts]) if with_points else None,
        mask_logits=masks,
    )


def _framed(cams: np.ndarray, embeddings: Embeddings) -> np.ndarray:
    """Place CAMs at their tiles in the encoded images; 0 elsewhere."""
    if embeddings.corners is None:
        return cams
    assert embeddings.frame is not None
    framed = np.zeros((len(cams), *embeddings.frame), cams.dtype)
    for target, cam, (x, y) in zip(framed, cams, embeddings.corners, strict=True):
        target[y : y + cam.shape[0], x : x + cam.shape[1]] = cam
    return framed
