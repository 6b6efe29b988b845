"""The oracle threshold of CAMs: the fixed threshold with the best IoU with the reference masks, an upper bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apsam.masks.stack import NO_DATA
from apsam.metrics.counts import Counts
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.metrics.tally import Tally
from apsam.prompts.generate import binarize
from apsam.protocol import HELD_OUT
from apsam.stack import TileStack

SOURCE = "cam_oracle"


def measure_cam_oracle(
    scenes: Sequence[MeasuredScene], cams: Sequence[Path], thresholds: Sequence[int], protocol: str = HELD_OUT
) -> dict[str, Any]:
    """Compute metrics of the CAMs at the threshold with the highest IoU over all pixels of a part.

    Args:
        scenes: Scenes with a reference mask.
        cams: CAM stack of every scene.
        thresholds: Candidates, grey values.
        protocol: Stored in the file.

    Returns:
        {"protocol", "rows"}: one row per part, with "threshold", the best, and "source".
    """
    tallies: dict[tuple[str, int], Tally] = {}
    for measured, path in zip(scenes, cams, strict=True):
        with (
            TileReferenceMasks(measured) as reference,
            TileStack(path) as stack,
            TileStack(measured.tiles) as tiles,
        ):
            for start, batch in stack.batches(("cam",), 64):
                valid = tiles.read("valid", start, start + len(batch["cam"])) > 0
                for offset, cam in enumerate(batch["cam"]):
                    part = reference.part_name(start + offset)
                    if part is not None:
                        there = reference.tile(start + offset)
                        for threshold in thresholds:
                            tally = tallies.setdefault((part, threshold), Tally())
                            guess = np.where(valid[offset], binarize(cam, threshold), NO_DATA)
                            tally.add_counts(Counts.of(guess, there))
    rows = []
    for part in sorted({part for part, _ in tallies}):
        best = max(thresholds, key=lambda level: tallies[part, level].counts.iou or 0.0)
        rows.append({"source": SOURCE, "part": part, "threshold": best, **tallies[part, best].figures()})
    return {"protocol": protocol, "rows": rows}
