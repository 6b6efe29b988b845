"""Evaluate the classification of held-out tiles by a trained localizer, with their image-level labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from apsam.device import bf16_pays, pick_device
from apsam.files import write_json
from apsam.localizer.checkpoint import load_localizer
from apsam.localizer.data import TEST, TileSet
from apsam.localizer.methods import Method


def evaluate_localizer(tile_stacks: Sequence[Path], weights: Path, output: Path, device: str = "auto") -> None:
    """Classify the part-1 tiles of all stacks and write accuracy and AUC; nothing is selected by them.

    Args:
        tile_stacks: Tile stacks (`image`, `label`, `part`).
        weights: Of the localizer, `.safetensors`.
        output: JSON to write: tiles by label, accuracy, AUC; null if a metric is undefined.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
    """
    where = pick_device(device)
    method = load_localizer(weights).to(where).eval()
    tiles = TileSet(tile_stacks, TEST, method.settings.memory_mb)
    counts = {"positive": int((tiles.labels == 1).sum()), "negative": int((tiles.labels == 0).sum())}
    write_json(output, {"schema": 1, "tiles": counts, **classification(method, tiles, where)})


@torch.no_grad()
def classification(method: Method, tiles: TileSet, device: torch.device) -> dict[str, float | None]:
    """Compute `classification_figures` of the tiles, at logit 0; all None if there is no tile."""
    if not len(tiles):
        return dict.fromkeys(("accuracy", "majority", "balanced_accuracy", "auc"))
    logits = []
    for images, _, _ in DataLoader(tiles, 32):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16_pays(device)):
            logits.append(method.logits(images.to(device)).float().cpu())
    return classification_figures(torch.cat(logits).numpy(), tiles.labels)


def classification_figures(logits: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Compute metrics of `logits > 0`.

    Returns:
        `accuracy`; `balanced_accuracy`, its mean over both labels; `majority`, the accuracy of always predicting the
        more frequent label; `auc`, the share of correctly ordered (positive, negative) pairs, ties half.
        None if undefined.
    """
    positive, negative = logits[labels == 1], logits[labels == 0]
    accuracy = float(((logits > 0) == (labels == 1)).mean())
    majority = max(len(positive), len(negative)) / len(labels)
    figures = {"accuracy": round(accuracy, 6), "majority": round(majority, 6)}
    if not len(positive) or not len(negative):
        return {**figures, "balanced_accuracy": None, "auc": None}
    balanced = float(((positive > 0).mean() + (negative <= 0).mean()) / 2)
    ordered = np.sort(negative)
    wins = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    auc = round(float(wins.mean() / (2 * len(ordered))), 6)
    return {**figures, "balanced_accuracy": round(balanced, 6), "auc": auc}
