"""Settings of the synthetic scenes (section `synthetic` of config.yaml)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Range = tuple[float, float]


class SyntheticSettings(BaseModel):
    """Content of the synthetic scenes. Lengths in metres, areas in square metres, ranges as [minimum, maximum]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_px: int = Field(1280, ge=256, le=8192, description="Height and width of a scene, pixels.")
    resolution_m: float = Field(0.5, ge=0.2, le=4.0, description="Ground size of a pixel, metres.")
    seed: int = Field(11, ge=0, description="Random seed, combined with the name of the scene.")
    landslide_cover: Range = Field((0.04, 0.07), description="Share of a scene covered by landslides.")
    landslide_area_m2: Range = Field((200.0, 8000.0), description="Area of one landslide, drawn log-uniformly.")
    positive_tiles: Range = Field((0.42, 0.54), description="Target share of tiles that show a landslide.")
    tile_px: int = Field(256, ge=32, description="Tile size used for `positive_tiles`, pixels.")
    tile_stride_px: int = Field(154, ge=16, description="Tile stride used for `positive_tiles`, pixels.")
    clusters: tuple[int, int] = Field((3, 4), description="Number of clusters that hold most landslides.")
    hollow_share: Share = Field(0.3, description="Share of the larger landslides with an island of forest.")
    beside_decoy_share: Share = Field(0.35, description="Share of landslides that start at a road or a field.")
    decoys: float = Field(
        1.0,
        ge=0.0,
        le=2.0,
        description="Amount of objects that look like landslides: 0 none, 1 normal, 2 twice as many.",
    )
    cloud_shadow_share: Share = Field(0.5, description="Share of scenes with cloud shadow.")
    no_data_share: Share = Field(0.4, description="Share of scenes with a strip of no data along a border.")
    epsg: int = Field(32648, description="EPSG code of a projected coordinate reference system in metres.")

    @model_validator(mode="after")
    def _ordered(self) -> "SyntheticSettings":
        for name in ("landslide_cover", "landslide_area_m2", "positive_tiles", "clusters"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ValueError(f"{name}: the first value must be 0 or more and not above the second")
        if self.landslide_cover[1] > 0.5 or self.positive_tiles[1] > 1:
            raise ValueError("landslide_cover may reach 0.5 and positive_tiles 1 at most")
        if self.size_px < self.tile_px:
            raise ValueError("size_px must not be smaller than tile_px")
        return self
