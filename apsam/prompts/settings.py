"""Settings of the prompt stage, in a separate module because the configuration is read in every process."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class PromptSettings(BaseModel):
    """Box and point prompts from CAMs."""

    model_config = ConfigDict(extra="forbid")

    threshold: int | Literal["auto"] = Field(
        120,
        description="CAM threshold, grey value 0..255: a pixel is foreground if its value is greater (paper: 120). "
        "auto: try every value of `candidates` and select per tile by SAM's masks, without labels "
        "(docs/architecture.md).",
    )
    candidates: tuple[int, ...] = Field(
        (60, 80, 100, 120, 140, 160, 180, 200), description="Thresholds tried with threshold: auto."
    )
    min_area: float = Field(
        0, ge=0, description="Ignore contours of a smaller area, square pixels (paper: none given; released code: 200)."
    )
    min_side: int = Field(
        0, ge=0, description="Ignore contours whose bounding box has a shorter side, pixels (released code: 5)."
    )
    area: Literal["region", "polygon"] = Field(
        "region",
        description="Area that `min_area` refers to: region (number of pixels), or polygon (released code): the "
        "polygon through the centres of the contour's pixels, which ignores holes and gives 196 for 15 "
        "x 15 px.",
    )
    contours: Literal["all", "external"] = Field(
        "all",
        description="all: also regions inside a hole of another region. external (released code): outermost "
        "contours only.",
    )
    point: Literal["inside", "centroid"] = Field(
        "inside",
        description="Point prompt: inside is the centroid, or the pixel farthest from the border if the centroid "
        "lies outside the region; centroid (released code) is that of the simplified outer contour, "
        "wherever it lies.",
    )

    def thresholds(self) -> tuple[int, ...]:
        """Return the thresholds to make prompts at, in increasing order.

        Raises:
            ValueError: One is not in 0..254.
        """
        values = tuple(sorted(set(self.candidates))) if self.threshold == "auto" else (self.threshold,)
        if not values or min(values) < 0 or max(values) > 254:
            raise ValueError(f"prompts: thresholds must lie within 0..254, not {values}")
        return values

    def model_post_init(self, _: Any) -> None:
        """Check the range of the thresholds."""
        self.thresholds()
