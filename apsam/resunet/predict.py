"""Predict whole scenes with a trained ResUNet: overlapping windows are blended and written row by row."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from rasterio.transform import Affine
from torch import Tensor

from apsam.conditions import check_scene, check_tiles, read_conditions
from apsam.device import bf16_pays, pick_device
from apsam.files import atomic_path, sha256_file
from apsam.maps.archive import add_mask
from apsam.maps.bands import BandWriter, band_rows
from apsam.maps.blend import RowBlender
from apsam.maps.cog import MapWriter, apply_threshold, map_tags, to_steps
from apsam.maps.settings import MapSettings
from apsam.progress import track
from apsam.resunet.checkpoint import load_resunet
from apsam.scenes import tile_files
from apsam.tiles.blocks import WHOLE, Block
from apsam.tiles.reader import SceneReader
from apsam.tiles.ready_made import read_tile_image, resize_tile
from apsam.tiles.settings import TileSettings
from apsam.tiles.windows import positions

FLIPS = ((), (-1,), (-2,), (-2, -1))


class Predictor:
    """A trained ResUNet that predicts probabilities.

    Attributes:
        name: Identifies the network.
        weights: Its file.
        conditions: Conditions of its training; None if its file has none.

    Args:
        weights: File written by `train_resunet`.
        settings: Batch size and flips.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Raises:
        InputError: The weights cannot be used.
    """

    def __init__(self, weights: Path, settings: MapSettings, device: str = "auto") -> None:
        self.device = pick_device(device)
        self.network = load_resunet(weights, self.device)[0]
        self.name = f"ResUNet {sha256_file(weights)[:12]}"
        self.weights, self.conditions = weights, read_conditions(weights)
        self._settings = settings
        self._bf16 = bf16_pays(self.device)

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Predict (n, 3, s, s) uint8 RGB -> (n, s, s) float32 in [0, 1]."""
        if not len(images):
            return np.empty((0, *images.shape[2:]), np.float32)
        batches = torch.from_numpy(images).split(self._settings.batch_size)
        return np.concatenate([self._predict(batch).cpu().numpy() for batch in batches])

    def _predict(self, batch: Tensor) -> Tensor:
        image = (batch.to(self.device).float() / 255).contiguous(memory_format=torch.channels_last)
        flips = FLIPS if self._settings.flips else FLIPS[:1]
        autocast = torch.autocast(self.device.type, torch.bfloat16) if self._bf16 else contextlib.nullcontext()
        total = torch.zeros(len(image), *image.shape[2:], device=self.device)
        for axes in flips:
            turned = image.flip(axes).contiguous(memory_format=torch.channels_last) if axes else image
            with autocast:
                logits = self.network(turned)[:, 0]
            answer = logits.float().sigmoid()
            total += answer.flip(axes) if axes else answer
        return total / len(flips)


def predict_raster(
    image: Path,
    weights: Path,
    tiles: TileSettings,
    settings: MapSettings,
    probability: Path,
    mask: Path,
    device: str = "auto",
    name: str | None = None,
    source: Path | None = None,
) -> None:
    """Map a raster scene.

    The scene is read like in the tile stage. Only one band of windows and its predictions are in memory.

    Args:
        image: Scene, a raster with a CRS.
        weights: Trained ResUNet.
        tiles: Tile size, bands and stretch, as in training.
        settings: Overlap, threshold.
        probability: COG to write: landslide probability, uint8 with the scale 1/250, 255 no data.
        mask: COG to write: {0, 1}, 255 no data.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        name: The scene's name; by default that of the image.
        source: The file that the tags of the maps name, if `image` is a temporary one.

    Raises:
        InputError: Image or weights cannot be used, or `tiles` differ from those of the training.
    """
    predictor = Predictor(weights, settings, device)
    check_tiles(predictor.conditions, tiles, weights)
    name = name or image.stem
    tags = map_tags(name, source or image, predictor.name, settings)
    with SceneReader(image, tiles) as scene:
        check_scene(predictor.conditions, scene)
        place = (scene.height, scene.width, scene.crs, scene.transform)
        with (
            MapWriter(probability, "probability", *place, tags) as probability_map,
            MapWriter(mask, "mask", *place, tags) as mask_map,
        ):
            for row, values in blended_rows(scene, predictor, tiles.size, settings, name):
                probability_map.write(row, to_steps(values))
                mask_map.write(row, apply_threshold(values, settings.threshold))


def predict_band(
    image: Path,
    weights: Path,
    tiles: TileSettings,
    settings: MapSettings,
    band: Block,
    output: Path,
    device: str = "auto",
    name: str | None = None,
) -> None:
    """Predict one of several bands of rows of a raster scene, bit-identical to these rows of `predict_raster`.

    Args:
        image, weights, tiles, settings, device, name: As for `predict_raster`.
        band: Number of the band, and of all bands.
        output: GeoTIFF to write, probabilities and mask of the band's rows, for `apsam.maps.bands.join_bands`.

    Raises:
        InputError: Image or weights cannot be used, or `tiles` differ from those of the training.
    """
    predictor = Predictor(weights, settings, device)
    check_tiles(predictor.conditions, tiles, weights)
    name = name or image.stem
    with SceneReader(image, tiles) as scene:
        check_scene(predictor.conditions, scene)
        first, last = band_rows(scene.height, tiles.size, settings.stride(tiles.size), band)
        place = (scene.crs, scene.transform @ Affine.translation(0, first))
        with BandWriter(output, last - first, scene.width, *place, predictor.name, settings.threshold) as writer:
            for row, values in blended_rows(scene, predictor, tiles.size, settings, name, band):
                writer.write(row - first, values)


def blended_rows(
    scene: SceneReader, predictor: Predictor, size: int, settings: MapSettings, name: str, band: Block = WHOLE
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, (rows, width) float32 probabilities, NaN where the scene has no data) from the top down.

    For a band, windows that reach into it from above are predicted too, and the rows above it are dropped.
    """
    stride = settings.stride(size)
    rows, cols = positions(scene.height, size, stride), positions(scene.width, size, stride)
    own = band.range(len(rows))
    lead = next(index for index, row in enumerate(rows) if row + size > rows[own.start] or index == own.start)
    blender = RowBlender(max(scene.width, size), size)
    for index in track(range(lead, own.stop), f"predict {name}"):
        row = rows[index]
        image, valid = scene.read(row, 0, size, max(scene.width, size))
        # A window without data is not predicted: its pixels are no data anyway.
        wanted = [col for col in cols if valid[:, col : col + size].any()]
        windows = [image[:, :, col : col + size] for col in wanted]
        answers: Iterable[np.ndarray] = predictor.probabilities(np.stack(windows)) if wanted else []
        for col, answer in zip(wanted, answers, strict=True):
            blender.add(col, answer)
        next_row = rows[index + 1] if index + 1 < len(rows) else scene.height
        values = blender.take(min(next_row - row, size))[: next_row - row, : scene.width]
        if index >= own.start:
            values[valid[: len(values), : scene.width] == 0] = np.nan
            yield row, values


def predict_folder(
    folder: Path, weights: Path, tiles: TileSettings, settings: MapSettings, masks: Path, device: str = "auto"
) -> None:
    """Predict a folder of ready-made tiles.

    Args:
        folder: Images of any size.
        weights: Trained ResUNet.
        tiles: Tile size: every image is resized to it, as in training.
        settings: Threshold, flips.
        masks: Zip to write: for every image a PNG of the same size and name, 255 landslide, 0 not.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Raises:
        InputError: The folder has no image, one cannot be read, or the weights cannot be used.
    """
    files = tile_files(folder)
    predictor = Predictor(weights, settings, device)
    check_tiles(predictor.conditions, tiles, weights)
    with atomic_path(masks) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for start in track(range(0, len(files), settings.batch_size), f"predict {folder.name}"):
            batch = files[start : start + settings.batch_size]
            images = [read_tile_image(file) for file in batch]
            small = np.stack([resize_tile(image, tiles.size).transpose(2, 0, 1) for image in images])
            for file, image, answer in zip(batch, images, predictor.probabilities(small), strict=True):
                height, width = image.shape[:2]
                own = cv2.resize(answer, (width, height), interpolation=cv2.INTER_LINEAR)
                add_mask(archive, file.name, apply_threshold(own, settings.threshold))
