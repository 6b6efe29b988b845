"""Views of a scene for SAM: windows with a ground size and a step of their own, independent of the labelled tiles.

A landslide that fills a 256 px tile leaves SAM's box nothing to separate; seen in a window of twice the ground size it
is an object again. A stack of views has the arrays of a tile stack, so that every stage that works on tiles (encode,
prompts, masks) works on views too. A view is labelled positive where the label map of the ground leaves room for a
landslide, so that embeddings depend on labels and not on a heat map.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from apsam.ground.labels import POSSIBLE, TRAINING_LABELS, common_grid
from apsam.ground.raster import GridReader
from apsam.ground.settings import ViewSettings
from apsam.progress import track
from apsam.sam.windows import open_scene_of
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.parts import NEITHER
from apsam.tiles.reader import SceneReader
from apsam.tiles.windows import tile_windows

BATCH = 16
# Settings that a stack of views depends on.
USED = {"multiples", "size", "step"}


def make_views(
    tiles: Sequence[Path], image: Path, labels: Path, settings: ViewSettings, factor: float, output: Path
) -> None:
    """Write the views of a scene that may show a landslide: a stack with the arrays of a tile stack.

    The scene is covered once at each of `settings.multiples` of the factor. Views on ground without a possible
    landslide are left out. `part` is 255 (neither): no network trains on views. `window` is in pixels of the scene and
    larger than the image by factor and multiple.

    Args:
        tiles: Tile stack of the scene, or the stacks of its blocks.
        image: The raster that they were cut of.
        labels: Label map of the ground (`apsam.ground.labels`).
        settings: Side and step of a view, and multiples of the factor.
        factor: Scene pixels per pixel of the finest views, along each side.
        output: The stack to write.

    Raises:
        InputError: Image or labels do not belong to the tiles.
    """
    grid, size = common_grid(tiles), settings.size
    sizes = [settings.on_ground(factor * multiple) for multiple in settings.multiples]
    windows = np.concatenate([tile_windows(grid.height, grid.width, side, step) for side, step in sizes])
    with TileStack(tiles[0]) as stack, open_scene_of(stack, image) as scene, GridReader(labels, grid) as ground:
        attributes = {
            **{key: stack.attributes[key] for key in ("scene", "kind", "crs", "transform", "height", "width", "names")},
            "tile_size": size,
            "image_sha256": stack.attributes["image_sha256"],
            "made_by": {**stack.attributes["made_by"], "views": settings.model_dump(mode="json", include=USED)},
        }
        specs = {
            "image": ((3, size, size), "uint8"),
            "valid": ((size, size), "uint8"),
            "label": ((), "uint8"),
            "part": ((), "uint8"),
            "window": ((4,), "int32"),
        }
        with TileStackWriter(output, attributes, specs) as writer:
            chosen = [w for w in windows.tolist() if (ground.read(*w, band=TRAINING_LABELS) == POSSIBLE).any()]
            for start in track(range(0, len(chosen), BATCH), f"views of {grid.scene}"):
                some = chosen[start : start + BATCH]
                images, valid = zip(*(read_view(scene, window, size) for window in some), strict=True)
                writer.append(
                    image=np.stack(images),
                    valid=np.stack(valid),
                    label=np.ones(len(some), np.uint8),
                    part=np.full(len(some), NEITHER, np.uint8),
                    window=np.array(some, np.int32),
                )


def read_view(scene: SceneReader, window: Sequence[int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a window of a scene, averaged to `size` pixels a side.

    Returns:
        image (3, size, size) uint8: mean over the valid pixels, 0 without any; valid (size, size) uint8 {0, 1}: where
        at least half of the pixels are.
    """
    image, valid = scene.read(*window)
    if valid.shape == (size, size):
        return image, valid
    share = cv2.resize(valid.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    bands = [cv2.resize(band.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) for band in image]
    mean = np.stack(bands) / np.maximum(share, 1e-6)
    known = (share >= 0.5).astype(np.uint8)
    return (np.clip(np.rint(mean), 0, 255) * known).astype(np.uint8), known
