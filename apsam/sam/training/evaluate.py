"""How good the light SAM is on held-out synthetic scenes: other seeds and other ranges than training's."""

from __future__ import annotations

import numpy as np
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from apsam.sam.training.prompts import SMALLEST, interior_point, jittered_box, tight_box
from apsam.sam.training.scenes import HELD_OUT, make_scene

HELD_OUT_SEED = 990_000_017


def mask_iou(found: np.ndarray, wanted: np.ndarray) -> float:
    """Intersection over union of two boolean masks; 1 if both are empty."""
    union = np.count_nonzero(found | wanted)
    return float(np.count_nonzero(found & wanted) / union) if union else 1.0


def box_mask(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A filled box as a boolean mask of `shape`."""
    mask = np.zeros(shape, bool)
    x0, y0, x1, y1 = np.round(box).astype(int)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


def predict_one(predictor: SamPredictor, point: np.ndarray | None, box: np.ndarray | None) -> np.ndarray:
    """The single mask for a point and/or a box: bool, in the size of the predictor's image."""
    masks, _, _ = predictor.predict(
        point_coords=None if point is None else point[None],
        point_labels=None if point is None else np.ones(1),
        box=box,
        multimask_output=False,
    )
    return masks[0]


@torch.no_grad()
def evaluate_held_out(sam: Sam, scenes: int, objects: int = 3, seed: int = HELD_OUT_SEED) -> dict[str, float]:
    """Mean IoU on held-out synthetic scenes with prompts from the true masks.

    The box is the object's, every side moved by up to 10 % of its extent; the point is a random pixel of the
    object, more often deep inside (as `interior_point` draws it).

    Args:
        sam: The SAM to measure.
        scenes: How many scenes.
        objects: At most so many objects of each scene, those of one group never together.

    Returns:
        Mean IoU for "both", "box" and "point", of the "jittered_box" itself, and the number of "objects".
    """
    predictor = SamPredictor(sam)
    results: dict[str, list[float]] = {"both": [], "box": [], "point": [], "jittered_box": []}
    for index in range(scenes):
        rng = np.random.default_rng([seed, index])
        scene = make_scene(rng, HELD_OUT)
        areas = np.bincount(scene.objects.ravel(), minlength=len(scene.group))
        numbers = [n for n in rng.permutation(len(scene.group)) if n > 0 and areas[n] >= SMALLEST]
        if not numbers:
            continue
        predictor.set_image(scene.image)
        for number in numbers[:objects]:
            mask = scene.objects == number
            box = jittered_box(rng, tight_box(mask), mask.shape)
            point = interior_point(rng, mask)
            results["both"].append(mask_iou(predict_one(predictor, point, box), mask))
            results["box"].append(mask_iou(predict_one(predictor, None, box), mask))
            results["point"].append(mask_iou(predict_one(predictor, point, None), mask))
            results["jittered_box"].append(mask_iou(box_mask(box, mask.shape), mask))
    return {key: float(np.mean(values)) for key, values in results.items()} | {"objects": len(results["both"])}
