"""Baseline without learned weights: GrabCut (Rother et al., 2004) with the prompts of SAM."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from apsam.masks.settings import GrabCutSettings
from apsam.masks.stack import same_tiles, write_masks
from apsam.prompts.files import check_tile_order, read_prompts
from apsam.prompts.generate import Prompt

# Of several prompt sets (prompts.threshold: auto) GrabCut uses the one nearest the paper's threshold, because it
# predicts no quality for a selection.
PAPER_THRESHOLD = 120


def grabcut(image: np.ndarray, prompt: Prompt, settings: GrabCutSettings) -> np.ndarray:
    """Segment one prompt: background outside the box, certainly landslide around the point.

    Args:
        image: (3, h, w) uint8 RGB.
        prompt: Box and point, pixels of the image.
        settings: Iterations and radius.

    Returns:
        (h, w) uint8 {0, 1}. If the box leaves no background for the colour model, the box is returned.
    """
    height, width = image.shape[1:]
    # Boxes of whole pixels, unless the prompts were edited by hand.
    (x0, y0), (x1, y1) = (map(math.floor, prompt.box[:2]), map(math.ceil, prompt.box[2:]))
    inside = np.zeros((height, width), np.uint8)
    inside[y0:y1, x0:x1] = 1
    if inside.all() or inside.sum() < 16:
        return inside
    states = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    centre = tuple(round(v) for v in prompt.point)
    cv2.circle(states, centre, settings.point_radius, cv2.GC_FGD, cv2.FILLED)
    states[inside == 0] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    ground, thing = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels, states, (0, 0, 0, 0), ground, thing, settings.iterations, cv2.GC_INIT_WITH_MASK)
    return ((states == cv2.GC_FGD) | (states == cv2.GC_PR_FGD)).astype(np.uint8)


def make_grabcut_masks(
    tiles: Path, prompts: Path, settings: GrabCutSettings, output: Path, ground: Path | None = None
) -> None:
    """Write GrabCut's pseudo-masks of one scene; the masks of one tile are combined by OR.

    Args:
        tiles: Tile stack of the scene.
        prompts: Its prompt file.
        settings: Iterations and radius.
        output: The mask stack (`apsam.masks.stack`).
        ground: Label map of the scene, to exclude pixels in negative tiles.
    """
    content = read_prompts(prompts)
    by_tile = {entry.tile: entry.sets for entry in content.tiles}
    with same_tiles(tiles, tiles) as stack:
        check_tile_order(content, prompts, len(stack))

        def masks_of(start: int, stop: int) -> np.ndarray:
            size = stack.attributes["tile_size"]
            masks = np.zeros((stop - start, size, size), np.uint8)
            for tile in sorted(t for t in by_tile if start <= t < stop):
                image = stack.read("image", tile, tile + 1)[0]
                nearest = min(by_tile[tile], key=lambda s: abs(s.threshold - PAPER_THRESHOLD))
                for prompt in nearest.prompts:
                    masks[tile - start] |= grabcut(image, prompt, settings)
            return masks

        write_masks(tiles, output, "grabcut", settings.model_dump(mode="json"), masks_of, ground)
