"""Train localizer and ResUNet on arrays. (The workflow trains on the scenes of a scene sheet.)"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from apsam.api.arrays import mask_values, unmasked
from apsam.api.load import load
from apsam.api.model import Model
from apsam.config import Config
from apsam.errors import InputError
from apsam.extras import naming_extras
from apsam.files import scratch_folder

SCENE = "arrays"  # name of the tile stack that the arrays become
TRAIN = 0  # value of a stack's `part`


def train_localizer(
    images: np.ndarray,
    labels: np.ndarray,
    output: str | Path,
    *,
    config: Config | None = None,
    device: str = "auto",
) -> Model:
    """Train a localizer on tiles that show a landslide and tiles that do not (extra `train`).

    Args:
        images: (n, size, size, 3) uint8 RGB; size is a multiple of 32, from 64 to 1024 (paper: 256).
        labels: (n,) of {0, 1}: whether the tile shows a landslide.
        output: Weights to write, `.safetensors`; the losses of the epochs go next to it, `.json`.
        config: Its `localizer` and `seed` are used, and `tiles` for reading scenes later; None: the defaults.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Returns:
        The trained model, for `cam`.

    Raises:
        InputError: The arrays do not match, one of the labels is missing, or `output` has another ending.
        MissingExtra: The extra `train` is not installed.
    """
    config = config or Config()
    images, labels = unmasked(images, "images"), unmasked(labels, "labels")
    if labels.shape != images.shape[:1] or not np.isin(labels, (0, 1)).all():
        raise InputError(f"labels: need {len(images)} values of 0 and 1, one an image; are {labels.shape}")
    missing = {0, 1} - set(labels.tolist())
    if missing:
        raise InputError(f"labels: need images with a landslide (1) and without (0), none is {min(missing)}")
    output = _weights_file(output)
    with naming_extras(), _stacks(images, labels, config, output) as (tiles, _):
        from apsam.localizer.train import train_localizer as train

        train([tiles], config.localizer, output, output.with_suffix(".json"), config.seed, device)
    return load(localizer=output, device=device)


def train_resunet(
    images: np.ndarray,
    masks: np.ndarray,
    output: str | Path,
    *,
    config: Config | None = None,
    device: str = "auto",
) -> Model:
    """Train a ResUNet on tiles and their pseudo-masks (extra `train`).

    Args:
        images: (n, size, size, 3) uint8 RGB; size is a multiple of 32, from 64 to 1024 (paper: 256).
        masks: (n, size, size) bool, or {0, 1, 255}, 255 (and masked pixels of a masked array) no data; all 0 for tiles
            without a landslide. Divide masks of 0 and 255 by 255 first.
        output: Weights to write, `.safetensors`; the losses of the epochs go next to it, `.json`.
        config: Its `resunet` and `seed` are used, and `tiles` for reading scenes later; None: the defaults.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Returns:
        The trained model, for `predict`.

    Raises:
        InputError: The arrays do not match, there are fewer than two tiles, no pixel is landslide, or `output` has
            another ending.
        MissingExtra: The extra `train` is not installed.
    """
    config = config or Config()
    images, masks = unmasked(images, "images"), mask_values(masks, "masks")
    if masks.shape != images.shape[:3]:
        raise InputError(f"masks: need {images.shape[:3]} of bool or 0, 1 and 255; are {masks.shape}")
    if len(images) < 2:
        raise InputError(f"images: the ResUNet needs at least two tiles, there are {len(images)}")
    labels = (masks == 1).any(axis=(1, 2))
    if not labels.any():
        raise InputError("masks: no pixel is 1, landslide; 255 is no data, so divide masks of 0 and 255 by 255")
    output = _weights_file(output)
    with naming_extras(), _stacks(images, labels, config, output, masks) as (tiles, stacked):
        from apsam.resunet.train import train_resunet as train

        train([tiles], [stacked], config.resunet, output, output.with_suffix(".json"), config.seed, device)
    return load(resunet=output, device=device)


@contextmanager
def _stacks(
    images: np.ndarray, labels: np.ndarray, config: Config, output: Path, masks: np.ndarray | None = None
) -> Iterator[tuple[Path, Path]]:
    """Write the arrays to a temporary tile stack and mask stack, the inputs of the training functions."""
    from apsam.stack import TileStackWriter

    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise InputError(f"images: need (n, size, size, 3) uint8 RGB, are {images.shape} {images.dtype}")
    count, size = images.shape[:2]
    if size % 32 or not 64 <= size <= 1024:
        raise InputError(f"images: need a size that is a multiple of 32, from 64 to 1024 pixels, is {size}")
    made_by = {
        "tiles": config.tiles.model_copy(update={"size": size}).decisive(),
        "labels": config.labels.model_dump(mode="json"),
    }
    attributes = {"scene": SCENE, "kind": "folder", "tile_size": size, "crs": None, "transform": None}
    specs = {"image": ((3, size, size), "uint8"), "label": ((), "uint8"), "part": ((), "uint8")}
    with scratch_folder(output, "arrays") as folder:
        tiles, stacked = folder / "tiles.zarr.zip", folder / "masks.zarr.zip"
        with TileStackWriter(tiles, {**attributes, "made_by": made_by}, specs) as writer:
            writer.append(
                image=np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
                label=labels.astype(np.uint8),
                part=np.full(count, TRAIN, np.uint8),
            )
        if masks is not None:
            with TileStackWriter(stacked, {"scene": SCENE}, {"mask": ((size, size), "uint8")}) as writer:
                writer.append(mask=masks)
        yield tiles, stacked


def _weights_file(output: str | Path) -> Path:
    """Return the path of the weights; with another ending they would not be found, or the losses would replace them."""
    path = Path(output)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: name the weights .safetensors; the losses go next to them, .json")
    return path
