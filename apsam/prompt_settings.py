"""Settings of the prompt stage, apart from its code: the configuration reads them in every process."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class PromptSettings(BaseModel):
    """How CAMs become prompts."""

    model_config = ConfigDict(extra="forbid")

    threshold: int | Literal["auto"] = Field(
        120,
        description="grey value of 0..255 that a CAM pixel must exceed (paper: 120); auto: every value of "
        "`candidates` is tried and SAM's masks choose, tile by tile, without labels (docs/architecture.md)",
    )
    candidates: tuple[int, ...] = Field(
        (60, 80, 100, 120, 140, 160, 180, 200), description="thresholds tried where `threshold` is auto"
    )
    min_area: float = Field(
        0, ge=0, description="contours of a smaller area, px2, give no prompt (paper: none given; its code: 200)"
    )
    min_side: int = Field(
        0, ge=0, description="contours with a box of a shorter side, pixels, give no prompt (the paper's code: 5)"
    )
    area: Literal["region", "polygon"] = Field(
        "region",
        description="area that min_area speaks of: pixels of the region, or (the paper's code) that of the polygon "
        "through the contour's pixel centres, which ignores holes and takes 15 x 15 px for 196",
    )
    contours: Literal["all", "external"] = Field(
        "all", description="all: an island in a hole is a region too; external (the paper's code): outermost ones only"
    )
    point: Literal["inside", "centroid"] = Field(
        "inside",
        description="inside: the centroid, or the deepest pixel where it lies outside the region; centroid (the "
        "paper's code): that of the simplified outer contour, wherever it lies",
    )

    def thresholds(self) -> tuple[int, ...]:
        """The thresholds to make prompts at, rising.

        Raises:
            ValueError: One is not within 0..254.
        """
        values = tuple(sorted(set(self.candidates))) if self.threshold == "auto" else (self.threshold,)
        if not values or min(values) < 0 or max(values) > 254:
            raise ValueError(f"prompts: thresholds must lie within 0..254, not {values}")
        return values

    def model_post_init(self, _: Any) -> None:
        """Check the range of the thresholds."""
        self.thresholds()
