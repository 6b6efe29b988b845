"""Adaptive prompt generation: convert a CAM to boxes and points for SAM (paper, section II-B, equations 2 to 8)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Literal

import cv2
import numpy as np

from apsam.errors import InputError
from apsam.prompts.settings import PromptSettings

# Share of a contour's length by which the paper's code simplifies contours before it computes their centroid.
RELEASED_SIMPLIFICATION = 0.001


@dataclass(frozen=True)
class Prompt:
    """One box and one point for SAM, of the same landslide. Pixels of the image, x to the right, y down.

    Made from a CAM by `generate_prompts`. To make one yourself, only `box` and `point` are required.

    Attributes:
        box: x0, y0, x1, y1; the pixels of the contour lie within x0 <= x < x1, y0 <= y < y1 (equation 4).
        point: x, y, a pixel inside the contour.
        point_label: 1, positive; 0, a point outside the landslide. The paper's points are all positive.
        point_source: `centroid` (equation 6), or `interior` if the centroid is outside the region.
        area: Area of the region without its holes, px2.
        mean_cam: Mean of the CAM over the region, 0..255.
        contour: Vertices (x, y) of the outer contour (equation 3).

    Examples:
        >>> Prompt(box=(10, 20, 60, 90), point=(35, 50)).point_label
        1
    """

    box: tuple[float, float, float, float]
    point: tuple[float, float]
    point_label: int = 1
    point_source: Literal["centroid", "interior"] = "centroid"
    area: int = 0
    mean_cam: float = 0.0
    contour: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one tile at one threshold.

    Attributes:
        threshold: Grey value that the CAM's pixels exceed, 0..254.
        prompts: One per region, from top to bottom; none if no pixel exceeds the threshold.
    """

    threshold: int
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True)
class TilePrompts:
    """The prompts of one tile of a scene.

    Attributes:
        tile: Index in the tile stack.
        sets: One per threshold; several if SAM's masks select the threshold (`prompts.threshold: auto`).
    """

    tile: int
    sets: tuple[PromptSet, ...] = ()


def binarize(cam: np.ndarray, threshold: int) -> np.ndarray:
    """Equation 2: 1 where the grey value exceeds the threshold, else 0. (h, w) uint8 -> (h, w) uint8."""
    return (cam > threshold).astype(np.uint8)


def generate_prompts(cam: np.ndarray, threshold: int = 120, settings: PromptSettings | None = None) -> list[Prompt]:
    """Make box and point prompts from the regions of a CAM that exceed a threshold (equations 2 to 8).

    Regions are 8-connected. A hole belongs to the region around it but counts in neither point nor area, and an
    island within a hole is a separate region. The centroid of equation 6 is computed over the region's pixels, that
    is with the moments of the filled contour minus those of its holes: without holes this equals the paper's centroid
    up to the half pixel between polygon and pixels, and it is also defined for regions of one pixel. A centroid outside
    the region (U-shapes, rings) would be a false positive point and is replaced by the deepest interior pixel. The
    choices of the paper's released code are `area`, `contours` and `point` of the settings.

    Args:
        cam: (h, w) uint8, 255 where the CAM is highest (`Model.cam`); masked pixels of a masked array count as 0.
        threshold: Grey value that the CAM must exceed, 0..254 (paper: 120).
        settings: Filters of contours, and position of the point; its thresholds are not used. None: the defaults.

    Returns:
        One prompt per region, from top to bottom.

    Raises:
        InputError: `cam` is not (h, w) uint8 or has no pixel, or the threshold is outside 0..254.

    Examples:
        >>> import numpy as np
        >>> cam = np.zeros((64, 64), np.uint8)
        >>> cam[10:20, 30:50] = 200
        >>> [prompt] = generate_prompts(cam, threshold=120)
        >>> prompt.box, prompt.point
        ((30, 10, 50, 20), (39.5, 14.5))
    """
    cam = np.ma.filled(np.asanyarray(cam), 0)
    # OpenCV crashes on an array without pixels.
    if cam.dtype != np.uint8 or cam.ndim != 2 or not cam.size:
        raise InputError(f"cam: needs (h, w) uint8 in 0..255, is {cam.shape} {cam.dtype}")
    if not isinstance(threshold, Real) or not 0 <= threshold <= 254:
        raise InputError(f"threshold: needs a grey value within 0..254, is {threshold}")
    settings = settings or PromptSettings()
    binary = binarize(cam, threshold)
    mode = cv2.RETR_CCOMP if settings.contours == "all" else cv2.RETR_EXTERNAL
    contours, hierarchy = cv2.findContours(binary, mode, cv2.CHAIN_APPROX_SIMPLE)
    _, regions = cv2.connectedComponents(binary, connectivity=8)
    prompts = []
    for index, contour in enumerate(contours):
        if hierarchy[0, index, 3] != -1:  # the border of a hole
            continue
        x, y, width, height = cv2.boundingRect(contour)
        first_x, first_y = contour[0, 0]
        region = (regions[y : y + height, x : x + width] == regions[first_y, first_x]).astype(np.uint8)
        area = int(region.sum())
        measured = area if settings.area == "region" else cv2.contourArea(contour)
        if measured < settings.min_area or min(width, height) < settings.min_side:
            continue
        point, source = _point_inside(region)
        if settings.point == "centroid" and (centroid := _polygon_centroid(contour - (x, y))) is not None:
            point, source = centroid, "centroid"
        prompts.append(
            Prompt(
                box=(x, y, x + width, y + height),
                point=(round(point[0] + x, 2), round(point[1] + y, 2)),
                point_label=1,
                point_source=source,
                area=area,
                mean_cam=round(float(cam[y : y + height, x : x + width][region > 0].mean()), 2),
                contour=tuple((int(a), int(b)) for a, b in contour[:, 0]),
            )
        )
    return sorted(prompts, key=lambda prompt: (prompt.box[1], prompt.box[0], prompt.area))


def _polygon_centroid(contour: np.ndarray) -> tuple[float, float] | None:
    """Return the centroid (x, y) of the contour simplified by a thousandth of its length; None for area 0."""
    simple = cv2.approxPolyDP(contour, RELEASED_SIMPLIFICATION * cv2.arcLength(contour, True), True)
    moments = cv2.moments(simple)
    if not moments["m00"]:
        return None
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]


def _point_inside(region: np.ndarray) -> tuple[tuple[float, float], Literal["centroid", "interior"]]:
    """Return the centroid by moments (equations 5 and 6), or the deepest interior pixel if it is outside. (x, y)."""
    moments = cv2.moments(region, binaryImage=True)
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    if region[int(y + 0.5), int(x + 0.5)]:
        return (x, y), "centroid"
    depth = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, col = np.unravel_index(int(depth.argmax()), depth.shape)
    return (float(col), float(row)), "interior"


def tile_prompts(tile: int, cam: np.ndarray, settings: PromptSettings, thresholds: tuple[int, ...]) -> TilePrompts:
    """Make the prompts of one tile at several thresholds.

    Args:
        tile: Index in the tile stack.
        cam: (h, w) uint8.
        settings: Filters of contours, and position of the point.
        thresholds: Increasing, each in 0..254.
    """
    return TilePrompts(tile, tuple(PromptSet(t, tuple(generate_prompts(cam, t, settings))) for t in thresholds))
