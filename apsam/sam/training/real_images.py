"""Evaluate a SAM on unseen real landslides, with prompts from reference masks, against two baselines without a SAM.

Meant for the Bijie set's `val` part (118 landslides; a folder with `images/`, `masks/` and, optionally,
`masks_completed/`). The masks are used only for evaluation; nothing is selected by the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from apsam.errors import InputError
from apsam.sam.training.evaluate import box_mask, mask_iou, predict_one
from apsam.sam.training.prompts import interior_point, jittered_box, tight_box

TILE = 256
GRABCUT_ROUNDS = 5


def read_masks(folder: Path, masks: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, RGB image (256, 256, 3) and mask (256, 256) bool of every image that has a non-empty mask.

    Raises:
        InputError: The folder does not have the expected parts.
    """
    files = sorted((folder / masks).glob("*.png"))
    if not files:
        raise InputError(f"{folder / masks}: no PNG masks; expected a folder with images/ and {masks}/")
    for file in files:
        matches = sorted((folder / "images").glob(f"{file.stem}.*"))
        if not matches:
            raise InputError(f"{folder / 'images'}: no image for mask {file.name}")
        read, grey = cv2.imread(str(matches[0])), cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if read is None or grey is None:
            raise InputError(f"{matches[0] if read is None else file}: not an image that can be read")
        image = cv2.resize(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), (TILE, TILE), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(grey, (TILE, TILE), interpolation=cv2.INTER_AREA) > 127
        if mask.any():
            yield file.stem, image, mask


def grabcut(image: np.ndarray, box: np.ndarray, point: np.ndarray, core: float = 0.0) -> np.ndarray:
    """Segment by GrabCut (Rother et al. 2004) with the prompts of a SAM.

    Args:
        image: (H, W, 3) uint8.
        box: Outside is surely ground, inside probably object.
        point: Surely object, with 3 px around it.
        core: Share of the box's width and height in its middle that is surely object, too. With 0 GrabCut often
            shrinks to nothing, which would make it a weak baseline.

    Returns:
        (H, W) bool; the box itself if it leaves no ground.
    """
    inside = box_mask(box, image.shape[:2])
    if inside.all():
        return inside
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if core > 0:
        middle, reach = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * core / 2
        labels[box_mask(np.concatenate([middle - reach, middle + reach]), inside.shape)] = cv2.GC_FGD
    cv2.circle(labels, (int(point[0]), int(point[1])), 3, cv2.GC_FGD, -1)
    cv2.setRNGSeed(0)
    ground, thing = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(image), labels, (0, 0, 0, 0), ground, thing, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


@torch.no_grad()
def evaluate_real(sam: Sam, folder: Path, masks: str = "masks", seed: int = 0, limit: int | None = None) -> dict:
    """Mean IoU on real images with the issue's protocol.

    The prompts come from the reference mask at 256 px: its box with every side moved by up to 10 % of the box's
    extent, and its deepest interior point.

    Args:
        sam: Any SAM that `SamPredictor` takes.
        folder: Holds `images/` and the folder named by `masks`.
        masks: Name of the mask folder.
        seed: Of the jitter.
        limit: Only the first so many images.

    Returns:
        Mean IoU of the SAM for "both", "box", "point", of "grabcut" (box and point), of "grabcut_core" (the
        middle half of the box surely object, too), of the "jittered_box" itself, and the number of "images".
    """
    predictor = SamPredictor(sam)
    results: dict[str, list[float]] = {}
    for index, (_, image, mask) in enumerate(read_masks(folder, masks)):
        if limit is not None and index >= limit:
            break
        rng = np.random.default_rng([seed, index])
        box = jittered_box(rng, tight_box(mask), mask.shape)
        point = interior_point(None, mask)
        predictor.set_image(image)
        found = {
            "both": predict_one(predictor, point, box),
            "box": predict_one(predictor, None, box),
            "point": predict_one(predictor, point, None),
            "jittered_box": box_mask(box, mask.shape),
            "grabcut": grabcut(image, box, point),
            "grabcut_core": grabcut(image, box, point, core=0.5),
        }
        for name, prediction in found.items():
            results.setdefault(name, []).append(mask_iou(prediction, mask))
    return {name: float(np.mean(values)) for name, values in results.items()} | {"images": len(results["both"])}
