"""Settings of the maps, section `maps` of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MapSettings(BaseModel):
    """How scenes are predicted, and what becomes a polygon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    overlap: float = Field(0.5, ge=0, lt=0.9, description="share of a window that its neighbour repeats")
    symmetries: bool = Field(
        False, description="average over the eight turned and mirrored windows: 8 times the time, smoother borders"
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a pixel is landslide")
    batch_size: int = Field(16, ge=1, description="windows predicted at once")
    min_area_m2: float = Field(50.0, ge=0, description="smaller polygons are left out of the GeoPackage")
    fill_holes_m2: float = Field(10.0, ge=0, description="smaller holes in polygons are filled")
    simplify_m: float = Field(
        0.0, ge=0, description="smooth polygon outlines by about this length; 0 keeps the pixels' edges"
    )
