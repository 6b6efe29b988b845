"""Settings of the report, section `report` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ReportSettings(BaseModel):
    """Content and size of the HTML report."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    map_side: int = Field(1280, ge=128, le=4096, description="Longer side of a scene in the map view, pixels.")
    map_scenes: int = Field(
        24, ge=0, description="Number of scenes with a map, held-out ones first. Others are listed by name."
    )
    gallery_tiles: int = Field(
        48, ge=0, le=500, description="Number of tiles shown: a third each of the worst, median and best ones."
    )
    gallery_candidates: int = Field(
        2000,
        ge=1,
        description="Number of tiles compared with the reference mask to choose them, evenly spaced over all scenes.",
    )
    figures: bool = Field(True, description="Also write the figures as PNG, SVG and CSV next to the page.")
    max_mb: float = Field(
        15, ge=1, description="Maximum size of the page, MB. Images are made coarser to stay below it."
    )
    suggestions: Literal["auto", "all", "none"] = Field(
        "auto",
        description="Tiles to label next and labels that look wrong: of scenes whose labels a person gave (auto; not "
        "those labelled by their mask), of all scenes, or none.",
    )
