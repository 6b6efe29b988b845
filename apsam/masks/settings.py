"""Settings of the pseudo-masks that need no SAM: those APSAM is compared with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CamMaskSettings(BaseModel):
    """How a CAM alone becomes a pseudo-mask, the baseline."""

    model_config = ConfigDict(extra="forbid")

    threshold: int | Literal["otsu"] = Field(
        120,
        description="grey value of 0..255 that a pixel must exceed (120: the regions that prompts are made of), or "
        "otsu: Otsu's threshold of each tile's CAM",
    )

    @model_validator(mode="after")
    def _within_grey_values(self) -> CamMaskSettings:
        if self.threshold != "otsu" and not 0 <= self.threshold <= 254:
            raise ValueError(f"threshold: {self.threshold} is not within 0..254")
        return self


class GrabCutSettings(BaseModel):
    """How GrabCut is run, the reference that has the same prompts but no learnt weights."""

    model_config = ConfigDict(extra="forbid")

    iterations: int = Field(5, ge=1, le=50, description="rounds of colour models and graph cut")
    point_radius: int = Field(4, ge=0, description="pixels around the prompt's point that are surely landslide")
