"""Settings of the maps: prediction of rasters by a trained ResUNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MapSettings(BaseModel):
    """Prediction of whole scenes and the threshold of the mask."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenes: Literal["held_out", "all"] = Field(
        "held_out",
        description="Scenes that are mapped and measured: held_out (if no scene is held out, all), or all: training "
        "scenes too, in rows of their own (the released code measures on training scenes only).",
    )
    overlap: float = Field(
        0.4, ge=0, lt=0.9, description="Overlap of neighbouring windows at inference, share of the side."
    )
    flips: bool = Field(True, description="Average over flipped tiles too: 4 times the work, F1 up by 0.01.")
    threshold: float = Field(0.5, gt=0, lt=1, description="A pixel is landslide if its probability is at least this.")
    batch_size: int = Field(16, ge=1, le=1024, description="Tiles per batch.")

    def of_scenes(self, splits: Sequence[str]) -> list[bool]:
        """Return which scenes are mapped, from their column `split` of the scene sheet, in the same order."""
        held_out = [split != "train" for split in splits]
        return held_out if self.scenes == "held_out" and any(held_out) else [True] * len(held_out)

    def stride(self, size: int) -> int:
        """Pixels from one predicted window of side `size` to the next."""
        return max(1, round(size * (1 - self.overlap)))
