"""Encode a scene to its embedding stack, once per set of tiles and SAM."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apsam.errors import ApsamError
from apsam.progress import track
from apsam.sam.batches import encode_batch
from apsam.sam.encode import encode_prepared, pinned, prepare_tiles, read_ahead, write_behind
from apsam.sam.model import LoadedSam
from apsam.sam.registry import build_sam
from apsam.sam.settings import SamSettings
from apsam.sam.windows import most_tiles, open_scene_of, plan_windows, window_size
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

log = logging.getLogger(__name__)

# Other entries of one append to the stack: name -> (shape of an entry, dtype).
Specs = dict[str, tuple[tuple[int, ...], str]]


@dataclass(frozen=True)
class ToEncode:
    """The images of a scene to encode, in order.

    Attributes:
        count: Number of images.
        words: Kind of images, for the message.
        table: Entries of the stack besides the embedding: name -> (count, ...).
        specs: Shape and type of these entries.
        read: Pixels (b, 3, h, w) uint8 of the images of a slice.
        attributes: Of the stack.
    """

    count: int
    words: str
    table: dict[str, np.ndarray]
    specs: Specs
    read: Callable[[slice], np.ndarray]
    attributes: dict[str, Any]


def encode_scene(
    tiles: Path,
    output: Path,
    settings: SamSettings,
    device: torch.device | str = "auto",
    sam: LoadedSam | None = None,
    label_gate: bool = True,
    image: Path | None = None,
) -> None:
    """Write the embeddings of a scene's positive tiles (negative ones never get prompts), or of windows around them.

    The arrays of the stack are described in `apsam.sam.embeddings.EmbeddingStore`.

    Args:
        tiles: The scene's tile stack.
        output: The embedding stack to make.
        settings: The section `sam` of the configuration.
        device: As `apsam.device.pick_device` takes it.
        sam: An already loaded SAM, to encode several scenes with.
        label_gate: False encodes all tiles, as in the paper's released code.
        image: The scene's raster, for `sam.window`.

    Raises:
        ConfigError: `sam.window` does not fit the tiles.
        InputError: `image` is not the raster of the tiles.
        ApsamError: There is not enough disk space for the embeddings.
    """
    sam = sam or build_sam(settings, device=device)
    with ExitStack() as opened:
        stack = opened.enter_context(TileStack(tiles))
        wanted = np.flatnonzero((stack.read("label") == 1) | (not label_gate)).astype(np.int32)
        if settings.window is None:
            source = _tiles(stack, wanted)
        else:
            source = _windows(stack, wanted, settings.window, opened.enter_context(open_scene_of(stack, image)))
        scene, shape = stack.attributes["scene"], sam.embedding_shape
        size = embedding_bytes(shape) * source.count
        log.info(
            "%s: %d of %d tiles may get prompts; %d %s are encoded, their embeddings %s take %.1f MB",
            scene, len(wanted), len(stack), source.count, source.words, "x".join(map(str, shape)), size / 1e6,
        )  # fmt: skip
        _check_room(output, size)
        attributes = {
            "scene": scene,
            "sam": sam.name,
            "checkpoint_hash": sam.checkpoint_hash,
            "preprocessing": sam.preprocessing,
            "image_size": sam.image_size,
            "tile_size": stack.attributes["tile_size"],
            "tiles": len(stack),
            "made_by": settings.model_dump(mode="json", exclude={"checkpoint"}),
            **source.attributes,
        }
        batch = encode_batch(settings.batch, sam.device)
        parts = [slice(start, min(start + batch.size, source.count)) for start in range(0, source.count, batch.size)]

        def prepare(part: slice) -> torch.Tensor:
            return pinned(prepare_tiles(sam, source.read(part), settings.channels), sam.device)

        # While a batch is encoded, the next one is read and resized, and the last one compressed and written.
        with (
            TileStackWriter(output, attributes, {"embedding": (shape, "float16"), **source.specs}) as writer,
            write_behind(writer.append) as append,
        ):
            ready = read_ahead(prepare(part) for part in parts)
            for part, prepared in zip(track(parts, f"embeddings of {scene}"), ready, strict=True):
                table = {name: values[part] for name, values in source.table.items()}
                append(embedding=encode_prepared(sam, prepared, batch, settings.precision), **table)


def embedding_bytes(shape: tuple[int, int, int]) -> int:
    """Return the size of one stored embedding before compression, in bytes: 2 MB for SAM, 8 MB for SAM 2."""
    return 2 * int(np.prod(shape))


def _tiles(stack: TileStack, wanted: np.ndarray) -> ToEncode:
    return ToEncode(
        count=len(wanted),
        words="tiles",
        table={"tile": wanted},
        specs={"tile": ((), "int32")},
        read=lambda part: stack.read_at("image", wanted[part]),
        attributes={},
    )


def _windows(stack: TileStack, wanted: np.ndarray, side: int, reader: SceneReader) -> ToEncode:
    tile_size, scene = stack.attributes["tile_size"], (reader.height, reader.width)
    size = window_size(side, tile_size, *scene)
    plan = plan_windows(stack.read("window"), wanted, size, scene)
    # The same for every block of a scene, whatever its content.
    most = most_tiles(size, tile_size, TileSettings(**stack.attributes["made_by"]["tiles"]).stride)
    tile, corner = np.full((len(plan), most), -1, np.int32), np.zeros((len(plan), most, 2), np.int32)
    for row, (members, corners) in enumerate(zip(plan.tiles, plan.corners, strict=True)):
        tile[row, : len(members)], corner[row, : len(members)] = members, corners
    served = np.array([len(members) for members in plan.tiles], np.int32)
    return ToEncode(
        count=len(plan),
        words=f"windows of {size[1]} x {size[0]} px",
        table={"window": plan.windows, "served": served, "tile": tile, "corner": corner},
        specs={
            "window": ((4,), "int32"),
            "served": ((), "int32"),
            "tile": ((most,), "int32"),
            "corner": ((most, 2), "int32"),
        },
        read=lambda part: np.stack([reader.read(*window)[0] for window in plan.windows[part].tolist()]),
        attributes={"window_size": list(size)},
    )


def _check_room(output: Path, size: int) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    # The store is packed into one file at the end, so both exist for a moment.
    free = shutil.disk_usage(output.parent).free
    if 2 * size > free:
        raise ApsamError(
            f"{output}: the embeddings need {2 * size / 1e9:.1f} GB while they are written, "
            f"{free / 1e9:.1f} GB are free; free disk space, or use a smaller SAM (sam.name: light)"
        )
