"""Evaluate the light SAM on held-out synthetic scenes, with other seeds and other ranges than in training."""

from __future__ import annotations

import numpy as np
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from apsam.sam.cam_prompt import cam_to_mask_prompt
from apsam.sam.training.prompts import SMALLEST, coarse_map, distorted_box, interior_point, jittered_box, tight_box
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


def predict_one(
    predictor: SamPredictor, point: np.ndarray | None, box: np.ndarray | None, coarse: np.ndarray | None = None
) -> np.ndarray:
    """Predict the single mask for a point, a box and/or a CAM-like map: bool, in the size of the predictor's image."""
    return _predict(predictor, point, box, coarse, three=False)[0][0]


def _predict(
    predictor: SamPredictor,
    point: np.ndarray | None,
    box: np.ndarray | None,
    coarse: np.ndarray | None,
    three: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict one mask (1, h, w) or three (3, h, w), bool, with SAM's estimates of their IoU."""
    side = predictor.model.prompt_encoder.mask_input_size[0]
    masks, iou, _ = predictor.predict(
        point_coords=None if point is None else point[None],
        point_labels=None if point is None else np.ones(1),
        box=box,
        mask_input=None if coarse is None else cam_to_mask_prompt(coarse[None], side)[0].numpy(),
        multimask_output=three,
    )
    return masks, iou


@torch.no_grad()
def evaluate_held_out(sam: Sam, scenes: int, objects: int = 3, seed: int = HELD_OUT_SEED) -> dict[str, float]:
    """Compute mean IoU on held-out synthetic scenes with prompts from the reference masks.

    Good prompts: the object's box, every side moved by up to 10 % of the box's extent, and a random pixel of the
    object, more often deep inside (`interior_point`). Rough prompts: box and map distorted as in training
    (`distorted_box`, `coarse_map`), the same point.

    Args:
        sam: The SAM to measure.
        scenes: Number of scenes.
        objects: Maximum number of objects per scene.

    Returns:
        Mean IoU for "both", "box" and "point", of the "jittered_box" itself, for "rough" (box and point) and
        "rough_map" (and the map), and the number of "objects". All of them with the single mask; for "both" and
        "rough" also for the other mask choices (`apsam.sam.select`): "both, best_iou", "both, index 0" and so on.
    """
    predictor = SamPredictor(sam)
    results: dict[str, list[float]] = {}
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
            rough = distorted_box(rng, tight_box(mask), mask.shape)
            coarse = coarse_map(rng, mask, scene.objects > 0)
            found = {
                "both": predict_one(predictor, point, box),
                "box": predict_one(predictor, None, box),
                "point": predict_one(predictor, point, None),
                "jittered_box": box_mask(box, mask.shape),
                "rough": predict_one(predictor, point, rough),
                "rough_map": predict_one(predictor, point, rough, coarse),
            }
            for name, given in (("both", box), ("rough", rough)):
                masks, iou = _predict(predictor, point, given, None, three=True)
                found |= {f"{name}, index {place}": mask for place, mask in enumerate(masks)}
                found[f"{name}, best_iou"] = masks[int(iou.argmax())]
            for name, prediction in found.items():
                results.setdefault(name, []).append(mask_iou(prediction, mask))
    means = {name: float(np.mean(values)) for name, values in results.items()}
    return means | {"objects": len(results.get("both", []))}
