"""Segment an image of any size with SAM and prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from apsam.api.tiling import windows_of
from apsam.errors import InputError
from apsam.prompts.generate import Prompt, PromptSet, TilePrompts
from apsam.sam.encode import encode_tiles
from apsam.sam.model import LoadedSam
from apsam.sam.segment import decode_prompt_sets
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.tiles.pixels import Pixels
from apsam.tiles.settings import TileSettings

# Side of the window for a box larger than a tile, in sides of the box.
MARGIN = 1.25
# Windows that are encoded and decoded at a time, which limits memory for large images.
WINDOWS_HELD = 16

Window = tuple[int, int, int, int]


def segment_image(
    sam: LoadedSam,
    image: Pixels,
    prompts: Sequence[Prompt],
    tiles: TileSettings,
    settings: SamSettings,
    masks: MasksSettings,
    cam: np.ndarray | None = None,
) -> np.ndarray:
    """Return the union of SAM's masks of all prompts.

    A prompt is decoded in the tile of the image (`sam.window`: the window of that side) in which its box, with a point
    outside it, lies most centrally, as in the stage `masks`. One larger than a tile gets a square window 1.25 times as
    large.

    Args:
        sam: The SAM.
        image: The open image.
        prompts: In pixels of the image.
        tiles: Size and overlap of tiles.
        settings: The section `sam`: window, precision, colours.
        masks: The section `masks`: kinds of prompts, choice of the mask.
        cam: (H, W) uint8, for `masks.cam_mask`.

    Returns:
        (H, W) bool.

    Raises:
        InputError: A prompt lies outside the image or has another label than 0 and 1, the CAM has another size or type
            than the image, or `masks.cam_mask` is set and there is none.
    """
    shape = (image.height, image.width)
    if masks.cam_mask and cam is None:
        raise InputError(f"masks.cam_mask: SAM needs the CAM as mask prompt; pass cam=, (H, W) uint8 of shape {shape}")
    if cam is not None and (cam.shape != shape or cam.dtype != np.uint8):
        raise InputError(
            f"cam: needs (H, W) uint8 of shape {shape}, as Model.cam returns it; is {cam.shape} {cam.dtype}"
        )
    found = np.zeros(shape, bool)
    side = settings.window or tiles.size
    grid = windows_of(*shape, tiles.model_copy(update={"size": side}))
    by_window: dict[Window, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        _check(prompt, shape)
        # An image that is no larger than a tile is encoded without a window.
        window = (0, 0, *shape) if max(shape) <= side else _window_of(prompt, grid, shape)
        by_window[window].append(prompt)
    by_size: dict[tuple[int, int], list[Window]] = defaultdict(list)
    for window in by_window:
        by_size[window[2:]].append(window)
    for windows in by_size.values():
        for start in range(0, len(windows), WINDOWS_HELD):
            some = windows[start : start + WINDOWS_HELD]
            pixels = np.stack([image.read(*window)[0] for window in some])
            embeddings = encode_tiles(sam, pixels, settings.batch, settings.precision, channels=settings.channels)
            asked = [TilePrompts(i, (PromptSet(0, _moved(by_window[w], w)),)) for i, w in enumerate(some)]
            maps = np.zeros((len(some), *some[0][2:]), np.uint8)
            if cam is not None:
                for target, (row, col, height, width) in zip(maps, some, strict=True):
                    part = cam[row : row + height, col : col + width]
                    target[: part.shape[0], : part.shape[1]] = part
            for (row, col, height, width), [answer] in zip(
                some, decode_prompt_sets(sam, embeddings, asked, maps, masks), strict=True
            ):
                place = found[row : row + height, col : col + width]
                place |= answer.mask[: place.shape[0], : place.shape[1]] > 0
    return found


def _check(prompt: Prompt, shape: tuple[int, int]) -> None:
    if prompt.point_label not in (0, 1):
        raise InputError(f"prompts: point_label {prompt.point_label} must be 1 (landslide) or 0 (none)")
    if len(prompt.box) != 4 or len(prompt.point) != 2:
        raise InputError(f"prompts: needs a box x0, y0, x1, y1 and a point x, y; are {prompt.box} and {prompt.point}")
    x0, y0, x1, y1 = prompt.box
    if not (0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0]):
        raise InputError(
            f"prompts: box {prompt.box} needs x0 < x1 and y0 < y1 within the image of {shape[1]} x {shape[0]} px"
        )
    x, y = prompt.point
    # Points are in the middle of pixels, so that the image begins half a pixel before 0.
    if not (-0.5 <= x <= shape[1] - 0.5 and -0.5 <= y <= shape[0] - 0.5):
        raise InputError(f"prompts: point {prompt.point} must be within the image of {shape[1]} x {shape[0]} px")


def _window_of(prompt: Prompt, grid: np.ndarray, shape: tuple[int, int]) -> Window:
    """Return the tile in which a prompt's box and point lie most centrally; a new window if no tile contains both."""
    x0, y0, x1, y1 = prompt.box
    # Points are in the middle of pixels. Those that `generate_prompts` makes lie in their box.
    x, y = (value + 0.5 for value in prompt.point)
    x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
    rows, cols, heights, widths = grid.T
    holds = (rows <= y0) & (cols <= x0) & (rows + heights >= y1) & (cols + widths >= x1)
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    if holds.any():
        away = np.hypot(cols + widths / 2 - middle[0], rows + heights / 2 - middle[1])
        row, col, height, width = grid[np.where(holds, away, np.inf).argmin()].tolist()
        return row, col, height, width
    side = int(np.ceil(MARGIN * max(x1 - x0, y1 - y0)))
    height, width = min(side, shape[0]), min(side, shape[1])
    row = int(np.clip(middle[1] - height / 2, 0, shape[0] - height))
    col = int(np.clip(middle[0] - width / 2, 0, shape[1] - width))
    return row, col, height, width


def _moved(prompts: Sequence[Prompt], window: Window) -> tuple[Prompt, ...]:
    """Convert prompts to pixels of a window."""
    row, col = window[:2]
    return tuple(
        Prompt(
            (p.box[0] - col, p.box[1] - row, p.box[2] - col, p.box[3] - row),
            (p.point[0] - col, p.point[1] - row),
            p.point_label,
        )
        for p in prompts
    )
