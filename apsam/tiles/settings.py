"""Settings of the tile stage."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class TileSettings(BaseModel):
    """Tiling of the scenes and conversion of their pixels to 8-bit RGB."""

    model_config = ConfigDict(extra="forbid")

    size: int = Field(256, ge=64, le=1024, multiple_of=32, description="Side of a tile, pixels (paper: 256).")
    overlap: float = Field(
        0.4, ge=0, lt=0.9, description="Overlap of neighbouring tiles, share of the side (paper: 0.4)."
    )
    bands: tuple[int, int, int] | Literal["auto"] = Field(
        "auto",
        description="Raster bands used as red, green and blue, counted from 1. auto: red, green and "
        "blue by declaration, by name or by wavelength, otherwise the first three.",
    )
    stretch: Literal["auto", "none", "percentile"] = Field(
        "auto",
        description="Conversion to 8 bit: none, percentile, or auto (none for 8-bit rasters, percentile for others).",
    )
    percentiles: tuple[float, float] = Field((2.0, 98.0), description="Lower and upper percentile of the stretch.")
    nodata: float | tuple[float, ...] | None = Field(
        None,
        description="Value or list of values that mean no data, in addition to what the raster declares. null: none.",
    )
    min_valid: float = Field(0.25, ge=0, le=1, description="Skip tiles whose share of valid pixels is smaller.")
    block_tiles: int = Field(
        4096, ge=1, description="Maximum number of tiles per job. A larger scene is processed in shards of this size."
    )
    resolution_m: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Ground size of a pixel at which scenes are read, metres: area averages of finer pixels; coarser "
        "scenes are read as they are. null: the resolution of each scene.",
    )

    @field_validator("bands")
    @classmethod
    def _from_one(cls, bands: tuple[int, int, int] | str) -> tuple[int, int, int] | str:
        if isinstance(bands, tuple) and min(bands) < 1:
            raise ValueError("bands are counted from 1")
        return bands

    @field_validator("percentiles")
    @classmethod
    def _in_order(cls, percentiles: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ValueError("percentiles must be two rising numbers between 0 and 100")
        return percentiles

    def decisive(self) -> dict[str, Any]:
        """Return the settings as JSON values, without those that change no tile."""
        return self.model_dump(mode="json", exclude={"block_tiles"})

    @property
    def stride(self) -> int:
        """Pixels from one tile to the next: 154 for 256 px and 40 %."""
        return max(1, round(self.size * (1 - self.overlap)))


class LabelSettings(BaseModel):
    """Which tiles are labelled positive."""

    model_config = ConfigDict(extra="forbid")

    min_pixels: int = Field(
        1,
        ge=1,
        description="Minimum number of landslide pixels in a positive tile, for labels derived from a mask (paper: 1).",
    )
    buffer_m: float = Field(
        0,
        ge=0,
        le=5000,
        description="Buffer around the features of a vector layer, metres: a tile is positive if it touches the "
        "buffered feature. No buffer suits points of landslides of all sizes; name a column of "
        "sizes instead (size_column).",
    )
    ignore_m: float | Literal["auto"] = Field(
        "auto",
        union_mode="left_to_right",
        description="Tiles that touch no buffered feature but lie within this distance of one, metres, are used for "
        "neither training nor measuring. auto: the landslide's length for points with a size (size_column), else 0.",
    )
    size_column: str | None = Field(
        None,
        min_length=1,
        description="Column of a point layer with the size of each landslide. It replaces buffer_m for these points, "
        "and heat maps from labels learn the probability of a landslide around them (docs/ground.md). null: none.",
    )
    size_kind: Literal["length", "area", "radius"] = Field(
        "length",
        description="Meaning of size_column: length (m), area (m2) or radius (m) of the landslide, which is modelled "
        "as an ellipse (radius: a disc). Tiles within half of its width, or within its radius, are positive.",
    )
    length_to_width: float = Field(
        2.4,
        ge=1,
        le=20,
        description="Length divided by width of an ellipse with the length and the area of a landslide, "
        "0.785 length² / area, for points whose size is a length or an area. The default is the median of 28 "
        "landslides of two real scenes; measure some of your area, because flows are more slender.",
    )

    @property
    def ellipse_ratio(self) -> float:
        """Length divided by width of the ellipse that a landslide is modelled as."""
        return 1.0 if self.size_kind == "radius" else self.length_to_width

    @field_validator("ignore_m")
    @classmethod
    def _not_negative(cls, ignore_m: float | str) -> float | str:
        if not isinstance(ignore_m, str) and not 0 <= ignore_m <= 5000:
            raise ValueError("must be auto or 0 to 5000 metres")
        return ignore_m


class SplitSettings(BaseModel):
    """Division of scenes with `split = blocks` into training and test blocks."""

    model_config = ConfigDict(extra="forbid")

    block: int = Field(768, ge=64, description="Side of a spatial block, pixels.")
    test_share: float = Field(0.35, gt=0, lt=1, description="Share of the blocks held out for testing.")
    seed: int = Field(1, ge=0, description="Random seed that selects the test blocks.")
    shared_ground: Literal["error", "leave_out"] = Field(
        "error",
        description="A training scene that covers ground of a test scene: error stops the run; leave_out uses the "
        "shared tiles for neither training nor testing.",
    )
