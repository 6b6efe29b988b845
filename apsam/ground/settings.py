"""Settings of scene-wide pseudo-masks, section `views` of the configuration. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ViewSettings(BaseModel):
    """Windows of the scene that SAM is shown for scene-wide pseudo-masks, independent of the labelled tiles."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: Annotated[float, Field(ge=1, le=16)] | Literal["auto"] = Field(
        "auto",
        description="scene pixels per pixel of a view, along each side: 2 shows SAM twice the ground, at half the "
        "resolution; auto: by the size of the heat map's regions, without masks",
    )
    factors: tuple[float, ...] = Field((1, 2, 4), description="factors that `auto` chooses from, rising")
    fill: float = Field(
        0.5,
        gt=0,
        le=1,
        description="auto: the smallest factor at which a typical region (median by area) spans at most this share of "
        "a view's side",
    )
    size: int = Field(256, ge=64, le=2048, multiple_of=32, description="side of a view, pixels of the view")
    step: int = Field(154, ge=16, le=2048, description="from one view to the next, pixels of the view")
    votes: float = Field(
        0.5, gt=0, le=1, description="share of the views over a pixel whose masks must hold it for a landslide"
    )
