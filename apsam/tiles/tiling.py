"""Cut one scene, or one folder of ready-made tiles, into a TileStack."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from apsam.errors import InputError
from apsam.labelling.identity import GridIdentity
from apsam.labelling.tables import check_same_tiles
from apsam.progress import track
from apsam.scenes import Scene, tile_files
from apsam.sidecar_files import image_checksum
from apsam.stack import TileStackWriter
from apsam.tiles.blocks import WHOLE, Block
from apsam.tiles.labels import UNLABELLED, labels_from_table
from apsam.tiles.mask_folder import MaskFolder
from apsam.tiles.mask_values import NO_DATA
from apsam.tiles.parts import LABELLED, NEITHER, SHARED, TEST, TRAIN, check_blocks, parts_by_blocks
from apsam.tiles.reader import SceneReader
from apsam.tiles.ready_made import read_tile_image, resize_tile
from apsam.tiles.ready_made_masks import read_tile_mask
from apsam.tiles.resolution import ground_resolution_m
from apsam.tiles.scene_labels import LEAST_KNOWN, scene_labels
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.shared_ground import HeldOutGround
from apsam.tiles.windows import tile_windows

log = logging.getLogger(__name__)

BATCH = 64


def tile_scene(
    scene: Scene,
    tiles: TileSettings,
    labels: LabelSettings,
    split: SplitSettings,
    output: Path,
    block: Block = WHOLE,
    held_out: Sequence[Path] = (),
) -> None:
    """Write the tile stack of one scene, or of one block of it.

    Arrays: image (3, size, size) uint8 RGB; valid (size, size) uint8 {0, 1}; label uint8 {0, 1}; part uint8
    (0 train, 1 test, 255 neither); labelled uint8 {0, 1}, 0 for a tile without a label; window (4,) int32 of row, col,
    height, width in pixels of the scene, or of the tile file. Attributes: see docs/architecture.md.

    Args:
        scene: The row of the scene sheet; a synthetic scene must have its paths filled in.
        tiles: Size, overlap, bands, stretch.
        labels: When a tile is positive.
        split: Blocks, for a scene split into blocks.
        output: The stack to write.
        block: Share of the scene's tiles to write; stretch, labels and parts do not depend on it.
        held_out: Rasters of the test scenes: tiles that overlap them are not used for training
            (`split.shared_ground: leave_out`).

    Raises:
        InputError: The scene, its labels or its mask cannot be used.
    """
    labels = scene.label_settings(labels)
    if scene.kind == "folder":
        _tile_folder(scene, tiles, labels, output, block)
    else:
        _tile_raster(scene, tiles, labels, split, output, block, held_out)


def _specs(size: int) -> dict[str, tuple[tuple[int, ...], str]]:
    return {
        "image": ((3, size, size), "uint8"),
        "valid": ((size, size), "uint8"),
        "label": ((), "uint8"),
        "part": ((), "uint8"),
        LABELLED: ((), "uint8"),
        "window": ((4,), "int32"),
    }


def _tile_raster(
    scene: Scene,
    tiles: TileSettings,
    labels: LabelSettings,
    split: SplitSettings,
    output: Path,
    block: Block,
    held_out: Sequence[Path],
) -> None:
    assert scene.image is not None
    with SceneReader(scene.image, tiles) as reader, closing(HeldOutGround(held_out, reader, tiles)) as ground:
        if note := reader.resolution_note():
            log.info(note)
        everywhere = tile_windows(reader.height, reader.width, tiles.size, tiles.stride)
        windows = everywhere[block.range(len(everywhere))]
        if scene.split == "blocks":
            check_blocks(scene.image, reader.height, reader.width, split, tiles)
        attributes = {
            "scene": scene.name,
            "kind": "raster",
            "tile_size": tiles.size,
            "crs": reader.crs.to_wkt(),
            "transform": list(reader.transform)[:6],
            "height": reader.height,
            "width": reader.width,
            "names": None,
            "resolution_m": ground_resolution_m(reader.crs.to_wkt(), reader.transform, reader.height, reader.width),
            # Only the first block of a scene has it: else a hundred jobs would each read thirty gigabytes for it.
            "image_sha256": image_checksum(scene.image) if block.number == 1 else None,
            "stretched": reader.stretched,
            "made_by": {"tiles": tiles.decisive(), "labels": labels.model_dump(mode="json")},
        }
        part = (
            parts_by_blocks(windows, reader.height, reader.width, split)
            if scene.split == "blocks"
            else np.full(len(windows), TEST if scene.split == "test" else TRAIN, np.uint8)
        )
        kept = 0
        with (
            scene_labels(scene, reader, everywhere, labels) as labels_of,
            TileStackWriter(output, attributes, {**_specs(tiles.size), SHARED: ((), "uint8")}) as writer,
        ):
            for start in track(range(0, len(windows), BATCH), f"tile {scene.name}"):
                rows = windows[start : start + BATCH]
                pairs = [reader.read(*window) for window in rows.tolist()]
                images, valid = (np.stack(values) for values in zip(*pairs, strict=True))
                keep = valid.mean(axis=(1, 2)) >= max(tiles.min_valid, 1e-9)
                kept += int(keep.sum())
                if keep.any():
                    found = labels_of(rows[keep], valid[keep])
                    label, own_part = _without_unlabelled(found, part[start : start + BATCH][keep])
                    shared = ground.shares(rows[keep], valid[keep])
                    own_part[(own_part == TRAIN) & shared] = NEITHER
                    writer.append(
                        image=images[keep],
                        valid=valid[keep],
                        label=label,
                        part=own_part,
                        window=rows[keep],
                        **{LABELLED: _labelled(found), SHARED: shared.astype(np.uint8)},
                    )
            if not kept and block.count == 1:
                check_size(scene.image, reader.height, reader.width, tiles)
                raise InputError(
                    f"{scene.image}: no tile has {tiles.min_valid:.0%} valid pixels; check its no-data value, "
                    f"'tiles.nodata' and 'tiles.min_valid'"
                )


def check_size(image: Path, height: int, width: int, tiles: TileSettings) -> None:
    """Raise InputError if a scene is so much smaller than a tile that its only tile is left out."""
    covered = min(height, tiles.size) * min(width, tiles.size) / tiles.size**2
    if covered < tiles.min_valid:
        raise InputError(
            f"{image}: is {width} x {height} px, which covers {covered:.0%} of a tile of {tiles.size} px, less than "
            f"'tiles.min_valid' ({tiles.min_valid:.0%}); give a larger scene, or lower one of the two"
        )


def _labelled(label: np.ndarray) -> np.ndarray:
    return (label != UNLABELLED).astype(np.uint8)


def _without_unlabelled(label: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put tiles without a label into neither part; like negative tiles they have no CAM and no prompt."""
    unknown = label == UNLABELLED
    return np.where(unknown, 0, label).astype(np.uint8), np.where(unknown, NEITHER, part).astype(np.uint8)


def _tile_folder(scene: Scene, tiles: TileSettings, labels: LabelSettings, output: Path, block: Block) -> None:
    assert scene.image is not None
    everything = tile_files(scene.image)
    own = block.range(len(everything))
    files = everything[own]
    names = [file.name for file in files]
    if scene.labels is None:
        assert scene.mask is not None
        masks = MaskFolder(scene.mask, scene.mask_values)
        label = folder_labels_from_masks(masks, files, labels.min_pixels)
    else:
        check_same_tiles(scene.labels, GridIdentity(scene.name))
        label = labels_from_table(scene.labels, [file.name for file in everything])[own]
    part = np.full(len(files), TEST if scene.split == "test" else TRAIN, np.uint8)
    labelled = _labelled(label)
    label, part = _without_unlabelled(label, part)
    attributes = {
        "scene": scene.name,
        "kind": "folder",
        "tile_size": tiles.size,
        "crs": None,
        "transform": None,
        "height": 0,
        "width": 0,
        "names": names,
        "resolution_m": None,
        "image_sha256": None,
        "stretched": None,
        "made_by": {"tiles": tiles.decisive(), "labels": labels.model_dump(mode="json")},
    }
    with TileStackWriter(output, attributes, _specs(tiles.size)) as writer:
        for start, images, windows in _read_folder(files, tiles.size, f"tile {scene.name}"):
            stop = start + len(images)
            writer.append(
                image=images,
                valid=np.ones((len(images), tiles.size, tiles.size), np.uint8),
                label=label[start:stop],
                part=part[start:stop],
                window=windows,
                **{LABELLED: labelled[start:stop]},
            )


def _read_folder(files: list[Path], size: int, description: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    for start in track(range(0, len(files), BATCH), description):
        images, windows = [], []
        for file in files[start : start + BATCH]:
            image = read_tile_image(file)
            windows.append((0, 0, *image.shape[:2]))
            images.append(resize_tile(image, size).transpose(2, 0, 1))
        yield start, np.stack(images), np.array(windows, np.int32)


def folder_labels_from_masks(masks: MaskFolder, files: list[Path], min_pixels: int) -> np.ndarray:
    """Label tiles by their masks, (n,) uint8 {0, 1, 255}: 255 if less than half is known, without a landslide."""
    labels = []
    for path in masks.masks(files):
        mask = read_tile_mask(path, masks.rule, masks.values)
        unknown = np.count_nonzero(mask == NO_DATA)
        positive = np.count_nonzero(mask == 1) >= min_pixels
        labels.append(1 if positive else UNLABELLED if unknown > (1 - LEAST_KNOWN) * mask.size else 0)
    return np.array(labels, np.uint8)
