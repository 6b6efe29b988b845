"""Clean up drawn objects: remove small parts that others cut off, and objects that are not visible.

Object maps are (H, W) uint8, 0 = ground, k = object k; they are changed in place and returned.
"""

from __future__ import annotations

import cv2
import numpy as np


def without_crumbs(objects: np.ndarray) -> np.ndarray:
    """Keep of every object the parts of at least 6 % of it: smaller parts become ground."""
    for number in range(1, int(objects.max()) + 1):
        mask = (objects == number).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for part in range(1, count):
            if stats[part, cv2.CC_STAT_AREA] < 0.06 * mask.sum():
                objects[parts == part] = 0
    return objects


def only_visible(image: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Turn objects into ground that cannot be distinguished from their surroundings.

    Compared are a ring outside the object and the object without its edge. It stays if, in any band, the means
    differ by one standard deviation, or if the grain differs by a factor of 1.8.
    """
    smoothed = cv2.GaussianBlur(image, (0, 0), 1.2).astype(np.float32)
    rough = np.abs(image - smoothed).mean(2)
    for number in np.unique(objects)[1:]:
        mask = (objects == number).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        part = slice(max(0, y - 12), y + height + 12), slice(max(0, x - 12), x + width + 12)
        whole = mask[part]
        inner = cv2.erode(whole, np.ones((3, 3), np.uint8)) > 0
        beside, around = (cv2.dilate(whole, np.ones((side, side), np.uint8)) > 0 for side in (5, 19))
        ring = around & ~beside
        if inner.sum() < 20 or ring.sum() < 20:
            objects[mask > 0] = 0
            continue
        here, there = smoothed[part][inner], smoothed[part][ring]
        step = np.abs(here.mean(0) - there.mean(0)) / (np.sqrt((here.var(0) + there.var(0)) / 2) + 3)
        grains = (rough[part][inner].mean() + 0.5) / (rough[part][ring].mean() + 0.5)
        if step.max() < 1 and abs(np.log(grains)) < np.log(1.8):
            objects[mask > 0] = 0
    return objects
