"""Class activation maps of a trained localizer, for the tiles labelled positive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from apsam.conditions import check_tiles, read_conditions
from apsam.device import bf16_pays, pick_device
from apsam.ground.gate import GroundGate
from apsam.localizer.checkpoint import load_localizer
from apsam.localizer.methods import Method
from apsam.localizer.refine import refine_by_prototypes
from apsam.localizer.settings import CamSettings
from apsam.localizer.surroundings import Surroundings
from apsam.progress import track
from apsam.stack import TileStack, TileStackWriter

EPSILON = 1e-5
INPUT_MULTIPLE = 32


def make_cams(
    tiles: Path,
    weights: Path,
    output: Path,
    settings: CamSettings,
    device: str = "auto",
    label_gate: bool = True,
    ground: Path | None = None,
    image: Path | None = None,
) -> None:
    """Write the CAM stack of one tile stack: `cam` (n, H, W) uint8, 255 where the CAM is highest.

    Tiles labelled negative are not computed and stay zero: every map has its maximum somewhere, so a
    negative tile's map would be a false alarm (label gate). Pixels without data are zero. With `ground`, so are pixels
    in tiles labelled negative, and the map is scaled to its maximum over the others.

    Args:
        tiles: Tile stack with `image`, `valid` and `label`.
        weights: Weights written by `train_localizer`.
        output: CAM stack to write.
        settings: Views, normalisation, refinement.
        device: `auto`, `cpu`, `cuda`, ...
        label_gate: False makes maps of all tiles, as in the paper's released code.
        ground: Label map of the scene (`apsam.ground.labels`); None: labels of overlapping tiles are not used (paper).
        image: The raster of the tiles, for `context`.

    Raises:
        ConfigError: `context` needs the image.
        InputError: The tile stack, the label map or the weights cannot be used, or the tiles were read with
            other settings than in training.
    """
    where = pick_device(device)
    method = load_localizer(weights).to(where)
    with (
        TileStack(tiles) as stack,
        GroundGate(tiles, ground) as possible,
        Surroundings(stack, image, settings.context) as surroundings,
    ):
        if "made_by" in stack.attributes:
            check_tiles(read_conditions(weights), stack.attributes["made_by"]["tiles"], weights)
        labels = stack.read("label")
        height, width = stack.arrays["valid"][0]
        attributes = {"scene": stack.attributes["scene"], "made_by": settings.model_dump(mode="json")}
        with TileStackWriter(output, attributes, {"cam": ((height, width), "uint8")}) as writer:
            size = settings.batch_size
            for start in track(range(0, len(stack), size), f"cams of {stack.attributes['scene']}"):
                gate = np.flatnonzero((labels[start : start + size] == 1) | (not label_gate))
                cams = np.zeros((len(labels[start : start + size]), height, width), np.uint8)
                if len(gate):
                    pixels = surroundings.around(start + gate, stack.read("image", start, start + size)[gate])
                    images = torch.from_numpy(pixels).to(where)
                    valid = stack.read("valid", start, start + size)[gate] * possible.of(start + gate)
                    valid = torch.from_numpy(valid).to(where)
                    cams[gate] = to_bytes(tile_cams(method, images, valid, settings), settings)
                writer.append(cam=cams)


@torch.no_grad()
def tile_cams(method: Method, images: Tensor, valid: Tensor, settings: CamSettings) -> Tensor:
    """Compute CAMs of positive tiles: positive logits summed over all views and scaled to 0..1 tile by tile.

    Args:
        method: Trained localizer, in evaluation mode.
        images: (B, 3, H + 2 c, W + 2 c) uint8 RGB: tiles, with c pixels around them.
        valid: (B, H, W) {0, 1}.
        settings: Views, normalisation, refinement, gamma.

    Returns:
        (B, H, W) float32 in 0..1; 0 where `valid` is 0.
    """
    maps = scale_to_one(unscaled_cams(method, images, valid, settings), settings)
    return maps**settings.gamma


@torch.no_grad()
def unscaled_cams(method: Method, images: Tensor, valid: Tensor, settings: CamSettings) -> Tensor:
    """Sum positive logits of tiles over all views, without scaling; refine them if the settings require it.

    Args:
        method, images, valid, settings: As for `tile_cams`.

    Returns:
        (B, H, W) float32, not negative; 0 where `valid` is 0. Refined maps are scaled to 0..1 tile by tile.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16_pays(images.device)):
        maps = sum_of_views(method.cam, images, settings)[:, 0]
    border = (images.shape[-1] - valid.shape[-1]) // 2
    if border:
        inner = slice(border, -border)
        maps, images = maps[:, inner, inner], images[:, :, inner, inner]
    if settings.refine == "none":
        return maps * valid
    maps = scale_to_one(maps * valid, settings)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16_pays(images.device)):
        stages = method.localizer.backbone(method.localizer.backbone.normalise(images))
    return refine_by_prototypes(maps, stages) * valid


def sum_of_views(cam: Callable[[Tensor], Tensor], images: Tensor, settings: CamSettings) -> Tensor:
    """Sum ReLU(map) over scales and flips, each transformed back to the tile.

    With `views_sum: as_released` the views of a scale are added before the ReLU, and every scale is divided by its
    maximum before the scales are added, as in the paper's released code.

    Args:
        cam: Function of images (B, 3, h, w) in 0..255 to maps (B, 1, h', w').
        images: Tiles.
        settings: `scales`, `flips` and `views_sum`.

    Returns:
        (B, 1, H, W) float32, not negative.
    """
    height, width = images.shape[-2:]
    total = torch.zeros(len(images), 1, height, width, device=images.device)
    for scale in settings.scales:
        sides = [max(INPUT_MULTIPLE, round(side * scale / INPUT_MULTIPLE) * INPUT_MULTIPLE) for side in (height, width)]
        scaled = images.float()
        if sides != [height, width]:
            scaled = functional.interpolate(scaled, sides, mode="bilinear", align_corners=False, antialias=scale < 1)
        of_scale = torch.zeros_like(total)
        for turns, mirrored in views(settings.flips):
            maps = turn_back(cam(turn(scaled, turns, mirrored)).float(), turns, mirrored)
            if settings.views_sum == "evidence":
                maps = functional.relu(maps)
            of_scale += functional.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
        if settings.views_sum == "as_released":
            of_scale = functional.relu(of_scale)
            of_scale /= of_scale.amax(dim=(2, 3), keepdim=True) + EPSILON
        total += of_scale
    return total


def views(flips: str) -> list[tuple[int, bool]]:
    """Return (quarter turns, mirrored) of every view."""
    if flips == "none":
        return [(0, False)]
    if flips == "horizontal":
        return [(0, False), (0, True)]
    return [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def turn(maps: Tensor, turns: int, mirrored: bool) -> Tensor:
    """Mirror left to right, then rotate by quarter turns."""
    return torch.rot90(maps.flip(-1) if mirrored else maps, turns, (-2, -1))


def turn_back(maps: Tensor, turns: int, mirrored: bool) -> Tensor:
    """Undo `turn`."""
    maps = torch.rot90(maps, -turns, (-2, -1))
    return maps.flip(-1) if mirrored else maps


def scale_to_one(maps: Tensor, settings: CamSettings) -> Tensor:
    """Divide maps (B, H, W) by their maxima, or stretch them from their minima (`as_released`)."""
    if settings.normalise == "as_released":
        maps = maps - maps.amin(dim=(1, 2), keepdim=True)
    return maps / (maps.amax(dim=(1, 2), keepdim=True) + EPSILON)


def to_bytes(maps: Tensor, settings: CamSettings) -> np.ndarray:
    """Convert maps in 0..1 to uint8: rounded, or in 256 equal steps like image writers (`as_released`)."""
    if settings.normalise == "as_released":
        steps = (maps * 256).floor().clamp(max=255)
    else:
        steps = (maps * 255 + 0.5).floor()
    return steps.to(torch.uint8).cpu().numpy()
