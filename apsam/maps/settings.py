"""Settings of the maps: how a trained ResUNet's answers become rasters and polygons."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MapSettings(BaseModel):
    """Prediction over whole scenes, the mask's threshold, and what becomes a polygon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    overlap: float = Field(0.4, ge=0, lt=0.9, description="share of a tile that its neighbour predicts too")
    flips: bool = Field(True, description="mean of the answers for flipped tiles too: 4 times the work, F1 up by 0.01")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability above which a pixel is landslide")
    min_area_m2: float = Field(100, ge=0, description="smallest landslide on the map (minimum mapping unit)")
    fill_holes_m2: float = Field(0, ge=0, description="holes up to this area are filled; 0 keeps every hole")
    simplify_m: float = Field(0, ge=0, description="outlines are simplified by about this length; 0 follows the pixels")
    batch_size: int = Field(16, ge=1, le=1024, description="tiles at a time")
