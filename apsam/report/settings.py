"""Settings of the report, section `report` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ReportSettings(BaseModel):
    """How much is shown, and how large the one file may become."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    map_side: int = Field(1280, ge=128, le=4096, description="longer side of a scene in the map view, pixels")
    map_scenes: int = Field(24, ge=0, description="scenes with a map, held-out ones first; the others are named")
    gallery_tiles: int = Field(48, ge=0, le=500, description="tiles shown, a third each worst, middle and best")
    gallery_candidates: int = Field(
        2000, ge=1, description="tiles compared with the truth to choose them, evenly spaced over all scenes"
    )
    figures: bool = Field(True, description="write the figures as PNG, SVG and CSV beside the page too")
    suggestions: Literal["auto", "all", "none"] = Field(
        "auto",
        description="tiles to label next and labels that look wrong: of scenes whose labels a person gave (auto; not "
        "those labelled by their mask), of all scenes, or none",
    )
    max_mb: float = Field(15, ge=1, description="largest size of the page; images are made coarser to keep it")
