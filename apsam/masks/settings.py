"""Settings of the pseudo-masks without SAM, the baselines of APSAM."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CamMaskSettings(BaseModel):
    """Pseudo-masks from the CAM alone, the baseline."""

    model_config = ConfigDict(extra="forbid")

    threshold: int | Literal["otsu"] = Field(
        120,
        description="CAM threshold, grey value 0..255: a pixel is landslide if its value is greater (120: the "
        "regions that prompts are made from). otsu: Otsu's threshold of each tile's CAM.",
    )

    @model_validator(mode="after")
    def _within_grey_values(self) -> CamMaskSettings:
        if self.threshold != "otsu" and not 0 <= self.threshold <= 254:
            raise ValueError(f"threshold: {self.threshold} is not within 0..254")
        return self


class GrabCutSettings(BaseModel):
    """GrabCut with the same prompts, a reference without learned weights."""

    model_config = ConfigDict(extra="forbid")

    iterations: int = Field(5, ge=1, le=50, description="Iterations of colour models and graph cut.")
    point_radius: int = Field(4, ge=0, description="Radius around the point prompt that is certain foreground, pixels.")
