"""Settings of the products: landslide polygons and their attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ProductSettings(BaseModel):
    """Landslide polygons and their attributes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_area_m2: float = Field(
        100, ge=0, description="Minimum mapping unit: smallest landslide on the map, square metres."
    )
    fill_holes_m2: float = Field(25, ge=0, description="Fill holes up to this area, square metres. 0: keep every hole.")
    smooth_m: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto",
        description="Length over which outlines are smoothed, metres. Areas change by at most 2 %, and outlines "
        "never cross. auto: two pixels. 0: follow the pixels.",
    )
    dem: Path | None = Field(
        None,
        description="Elevation raster in metres that covers the scenes (a VRT mosaics several), for length, width "
        "and slope of each landslide. Relative paths start where those of the scene sheet do. null: "
        "none.",
    )
