"""A simulated person who labels tiles from reference labels, some of them wrong, for benchmarks of labelling.

A run does not use this module, because reference labels would train it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from apsam.labelling.suggestions import Suggestions


def random_order(names: Sequence[str], seed: int) -> list[str]:
    """Return tiles in the order in which a person without suggestions labels them."""
    return [names[index] for index in np.random.default_rng(seed).permutation(len(names))]


def suggested_order(suggestions: Suggestions, scene: str | None = None) -> list[str]:
    """Return tiles of one scene, or of all, in the order of the suggestions."""
    return [entry.tile for entry in suggestions.of("look") if scene in (None, entry.scene)]


def look_at(
    labels: Mapping[str, int], order: Sequence[str], reference: Mapping[str, int], looks: int
) -> dict[str, int]:
    """Return labels after a person has labelled the next tiles of an order.

    Args:
        labels: Existing labels, by tile.
        order: Tiles to label; those that have a label are skipped.
        reference: The person's labels.
        looks: Number of tiles to label.
    """
    waiting = [name for name in order if name not in labels]
    return {**labels, **{name: reference[name] for name in waiting[:looks]}}


def with_errors(labels: Mapping[str, int], share: float, seed: int) -> tuple[dict[str, int], list[str]]:
    """Invert a share of the labels; return the labels and the inverted tiles."""
    names = sorted(labels)
    turned = sorted(np.random.default_rng(seed).permutation(len(names))[: round(share * len(names))].tolist())
    wrong = [names[index] for index in turned]
    return {**labels, **{name: 1 - labels[name] for name in wrong}}, wrong


def found_among_first(suggestions: Suggestions, wrong: Sequence[str], share: float) -> float:
    """Return the share of the wrong labels that are among the first `share` of the labels to check."""
    check = suggestions.of("check")
    first = {entry.tile for entry in check[: round(share * len(check))]}
    return len(first & set(wrong)) / len(wrong)
