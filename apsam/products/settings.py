"""Settings of the products: what becomes a polygon on the map, and what is measured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ProductSettings(BaseModel):
    """What becomes a landslide polygon, and what is measured of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_area_m2: float = Field(100, ge=0, description="smallest landslide on the map (minimum mapping unit)")
    fill_holes_m2: float = Field(25, ge=0, description="holes up to this area are filled; 0 keeps every hole")
    smooth_m: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto",
        description="length at which outlines are smoothed; their area changes by 2 % at most, and they never cross. "
        "auto: two pixels; 0 follows the pixels",
    )
    dem: Path | None = Field(
        None,
        description="raster of elevations in metres that covers the scenes (a VRT joins several), for length, width "
        "and slope of each landslide; relative paths start where the scene sheet's do",
    )
