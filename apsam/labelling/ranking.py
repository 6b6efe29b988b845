"""Rank tiles to label next, and labels that look wrong, from arrays of numbers per tile.

Each member of a committee (localizer, map, pseudo-mask) predicts a tile's probability of landslide. The entropy of the
mean is high if they disagree or if all are uncertain (query by committee with vote entropy, Dagan and
Engelson 1995). Picks are spread over the scene: a tile loses weight with every pick near it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import shapely
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.special import expit, logit
from shapely.strtree import STRtree

# Probabilities are clipped at this distance from 0 and 1, because a network that is certain may be wrong.
CERTAINTY = 1e-3

# With fewer labels of either kind, two parameters cannot be fitted.
FEWEST_TO_CALIBRATE = 5

# Distance, in sides of a tile, over which one pick makes others less useful.
SPREAD = 1.0


def calibrate(score: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Calibrate a member's scores to probabilities of landslide with the existing image-level labels.

    Platt's scaling (1999) with his smoothed targets. With few labels of either kind the scores are not changed.

    Args:
        score: (n,) float in 0..1, NaN without a prediction.
        label: (n,) uint8 {0, 1, 255 no label}.

    Returns:
        (n,) float in 0..1, increasing with the score; NaN where the score is.
    """
    known = (label != 255) & ~np.isnan(score)
    positive, negative = np.count_nonzero(label[known] == 1), np.count_nonzero(label[known] == 0)
    if min(positive, negative) < FEWEST_TO_CALIBRATE:
        return score
    x = logit(np.clip(score, CERTAINTY, 1 - CERTAINTY))
    target = np.where(label[known] == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    seen = x[known]
    middle, spread = seen.mean(), max(seen.std(), 1e-6)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] * (seen - middle) / spread + parameters[1]
        error = expit(z) - target
        value = np.logaddexp(0, z).sum() - (target * z).sum()
        return value, np.array([(error * (seen - middle) / spread).sum(), error.sum()])

    # A slope below 0 would invert the member's prediction.
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    slope, offset = found.x
    return expit(slope * (x - middle) / spread + offset)


def agreement(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean probability of the members that predict a tile: (n,) float, NaN if none does."""
    stacked = np.stack(members)
    said = ~np.isnan(stacked)
    return np.where(said.any(axis=0), np.where(said, stacked, 0).sum(axis=0) / np.maximum(said.sum(axis=0), 1), np.nan)


def entropy(probability: np.ndarray) -> np.ndarray:
    """Return binary entropy in bits, 0..1; 1 (unknown) where the probability is NaN."""
    p = np.clip(np.nan_to_num(probability, nan=0.5), CERTAINTY, 1 - CERTAINTY)
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


def spread_out(use: np.ndarray, centre: np.ndarray | None, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Order tiles by usefulness; each pick makes tiles near it less useful.

    Args:
        use: (n,) float, 0 or more.
        centre: (n, 2) float, positions of the tiles; None: unknown, then the order is that of the usefulness.
        side: Of a tile, in the units of `centre`.

    Returns:
        order: (n,) int, the best first.
        value: (n,) float, the usefulness of each tile when it was selected, in that order.
    """
    if centre is None or len(use) < 2:
        first = np.argsort(-use, kind="stable")
        return first, use[first]
    tree = cKDTree(centre)
    weight = np.ones(len(use))
    queue = [(-value, index) for index, value in enumerate(use.tolist())]
    heapq.heapify(queue)
    selected = np.zeros(len(use), bool)
    order: list[int] = []
    values: list[float] = []
    while queue:
        negative, index = heapq.heappop(queue)
        if selected[index]:
            continue
        now = use[index] * weight[index]
        if -negative > now + 1e-12:  # it has lost weight since it was added
            heapq.heappush(queue, (-now, index))
            continue
        selected[index] = True
        order.append(index)
        values.append(now)
        near = np.array(tree.query_ball_point(centre[index], 3 * SPREAD * side))
        distance = np.linalg.norm(centre[near] - centre[index], axis=1) / (SPREAD * side)
        weight[near] *= 1 - np.exp(-(distance**2) / 2)
    return np.array(order, int), np.array(values)


def covered_by_negatives(boxes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the share of each positive tile that is covered by negative tiles: (n,) float, 0 for other tiles.

    A tile that is completely covered by tiles without a landslide cannot have one, so 1 is a contradiction,
    whatever a network predicts.

    Args:
        boxes: (n,) of `shapely.Polygon`.
        label: (n,) uint8 {0, 1, 255}.
    """
    share = np.zeros(len(boxes))
    negative = boxes[label == 0]
    tree = STRtree(negative)
    for index in np.flatnonzero(label == 1):
        over = negative[tree.query(boxes[index], predicate="intersects")]
        if len(over):
            ground = shapely.intersection(shapely.union_all(over), boxes[index])
            share[index] = shapely.area(ground) / shapely.area(boxes[index])
    return share


def suspicion(probability: np.ndarray, label: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Return how probably a label is wrong, (n,) float in 0..1, NaN without a label or a prediction.

    Args:
        probability: (n,) float, the committee's.
        label: (n,) uint8 {0, 1, 255}.
        covered: (n,) float, share covered by tiles labelled negative (`covered_by_negatives`).
    """
    doubt = np.where(label == 1, 1 - probability, probability)
    return np.where(label == 255, np.nan, np.where(covered > 1 - 1e-9, 1.0, doubt))
