"""CDA's cut-outs, from the highest regions of a first, plain CAM."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from apsam.errors import InputError
from apsam.localizer.cam import tile_cams
from apsam.localizer.method_code import offline_code
from apsam.localizer.methods.cam import PlainCam
from apsam.localizer.offline.inputs import OfflineInputs
from apsam.localizer.settings import CamSettings
from apsam.localizer.train import checkpoint_of, fit
from apsam.stack import TileStackWriter

# CAMs are not gamma-scaled here: `cda.threshold` is a share of the maximum.
VIEWS = CamSettings(gamma=1.0)


def make(inputs: OfflineInputs, output: Path) -> None:
    """Train a plain CAM and write its cut-outs: `image` (n, 3, H, W), `mask` (n, H, W) {0, 1}, object in the middle.

    A training that was stopped is resumed.

    Args:
        inputs: Training tiles and settings; `cda.epochs` overrides the epochs if it is set.
        output: Stack to make.

    Raises:
        InputError: No cut-out has the required size.
    """
    settings, device = inputs.settings, inputs.device
    method = PlainCam(settings.model_copy(update={"method": "cam", "epochs": settings.cda.epochs or settings.epochs}))
    checkpoint = checkpoint_of(output, inputs.tiles, settings, inputs.seed, [offline_code("cda")])
    if fit(method, inputs.tiles, inputs.seed, device, checkpoint).global_rank != 0:
        return
    method = method.to(device).eval()
    found: list[tuple[float, np.ndarray, np.ndarray]] = []
    for image, label, _ in DataLoader(inputs.tiles, VIEWS.batch_size):
        image = image[label > 0]
        if len(image):
            maps, scores = _look(method, image.to(device))
            for picture, cam, score in zip(image.numpy(), maps, scores, strict=True):
                mask = main_region(cam >= settings.cda.threshold)
                if settings.cda.area[0] <= mask.mean() <= settings.cda.area[1]:
                    found.append((score, *to_the_middle(picture, mask)))
    if not found:
        least, most = settings.cda.area
        raise InputError(
            f"localizer.method cda: no region of the first CAM covers {least:.0%} to {most:.0%} of its tile; "
            "widen localizer.cda.area or lower localizer.cda.threshold"
        )
    found.sort(key=lambda entry: -entry[0])
    side = found[0][1].shape[1:]
    with TileStackWriter(output, {"made_for": "cda"}, {"image": ((3, *side), "uint8"), "mask": (side, "uint8")}) as out:
        for _, picture, mask in found[: settings.cda.objects]:
            out.append(image=picture[None], mask=mask[None])
    checkpoint.remove()


@torch.no_grad()
def _look(method: PlainCam, images: torch.Tensor) -> tuple[np.ndarray, list[float]]:
    valid = torch.ones(len(images), *images.shape[-2:], device=images.device)
    maps = tile_cams(method, images, valid, VIEWS)
    return maps.float().cpu().numpy(), method.logits(images).float().cpu().tolist()


def main_region(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected part of a mask, (h, w) uint8 {0, 1}."""
    count, regions, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        return np.zeros(mask.shape, np.uint8)
    return (regions == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)


def to_the_middle(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move picture (3, h, w) and mask (h, w) so that the mask's bounding box is in the middle."""
    height, width = mask.shape
    x, y, across, down = cv2.boundingRect(mask)
    move = np.array([[1, 0, width // 2 - (x + across // 2)], [0, 1, height // 2 - (y + down // 2)]], np.float32)
    picture = cv2.warpAffine(np.ascontiguousarray(image.transpose(1, 2, 0)), move, (width, height))
    return picture.transpose(2, 0, 1), cv2.warpAffine(mask, move, (width, height), flags=cv2.INTER_NEAREST)
