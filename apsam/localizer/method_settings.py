"""Settings of the single localization methods (keys `localizer.sipe`, `localizer.cda`, ...), apart from their code."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MethodName = Literal["cam", "sipe", "cda", "cpn", "oc_cse", "flipcam", "s2c", "lgag_proxy"]
# What the offline stage makes, for the methods that have one.
OFFLINE_FILES: dict[str, str] = {
    "cda": "objects.zarr.zip",
    "cpn": "superpixels.zarr.zip",
    "oc_cse": "classifier.safetensors",
    "s2c": "segments.zarr.zip",
}

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0, le=100.0)]
Strict = ConfigDict(extra="forbid", frozen=True)


class SipeSettings(BaseModel):
    """Self-supervised image-specific prototypes (also those of lgag_proxy)."""

    model_config = Strict

    code: Literal["as_written", "as_released"] = Field(
        "as_written",
        description="as_written: the SIPE paper; as_released: what APSAM's released code made of it (features not "
        "detached, consistency on negative tiles too, the plain CAM instead of the prototypes' map)",
    )
    consistency: Weight = Field(1.0, description="weight of the loss between CAM and prototypes' map")
    background: Share = Field(0.5, description="what the background's likeness is multiplied with before seeds compete")


class CdaSettings(BaseModel):
    """Context decoupling augmentation: what is cut out of tiles, and pasted into others."""

    model_config = Strict

    code: Literal["binary", "as_written"] = Field(
        "binary",
        description="binary: half of what is pasted into negatives are cut-outs of background, so that the seam says "
        "nothing; as_written: landslides only, as with many classes",
    )
    epochs: int | None = Field(None, ge=1, le=1000, description="of the first CAM, which cuts out; null: as many")
    threshold: Share = Field(0.4, description="share of a first CAM's maximum from which a pixel is cut out")
    area: tuple[Share, Share] = Field((0.02, 0.7), description="least and most share of its tile a cut-out has")
    objects: int = Field(256, ge=1, le=4096, description="most cut-outs kept, the surest first")

    @model_validator(mode="after")
    def _in_order(self) -> CdaSettings:
        if self.area[0] >= self.area[1]:
            raise ValueError(f"area: {list(self.area)} must be two rising shares")
        return self


class CpnSettings(BaseModel):
    """Complementary patches."""

    model_config = Strict

    code: Literal["as_written", "as_released"] = Field(
        "as_written",
        description="as_released: keys of the regions with their two axes mixed up, as in the released code",
    )
    segments: int = Field(100, ge=2, le=10000, description="superpixels a tile")
    compactness: float = Field(10.0, gt=0, description="of the superpixels: higher, more like squares")
    hardest: float = Field(0.2, gt=0, le=1, description="share of the worst pixels that the cross regularisation sees")


class OcCseSettings(BaseModel):
    """Class-specific erasing against an ordinary classifier."""

    model_config = Strict

    epochs: int | None = Field(None, ge=1, le=1000, description="of the ordinary classifier; null: as many")
    weight: tuple[Weight, Weight] = Field(
        (0.3, 1.0), description="of the erasing loss at the beginning and at the end of the training"
    )


class FlipCamSettings(BaseModel):
    """Flipped reference and merged quarters."""

    model_config = Strict

    consistency: Weight = Field(
        1.25, description="final weight of the loss between reference and merged quarters (released: 1.25 or 0.25)"
    )
    ramp: float = Field(0.5, gt=0, le=1, description="share of the training over which the weight rises")


class S2cSettings(BaseModel):
    """From SAM to CAMs."""

    model_config = Strict

    start_epoch: int = Field(2, ge=0, le=1000, description="epochs before SAM is asked at the CAM's peaks")
    peak: Share = Field(0.5, description="least height of a peak, share of the tile's maximum")
    distance: int = Field(20, ge=1, le=1024, description="least distance of two peaks, px")
    mask_choice: Literal["index", "best_iou"] = Field(
        "index", description="which of SAM's three masks: index (the third, as released) or best_iou"
    )
    points_per_side: int = Field(6, ge=1, le=64, description="grid that asks SAM for segments (released: 32)")
    min_iou: Share = Field(
        0.0, description="predicted IoU of a segment (released: 0.88, which the light SAM never gives itself)"
    )
    min_stability: Share = Field(0.5, description="least stability of a segment (released: 0.95, likewise)")
    segments: Weight = Field(1.0, description="weight of the loss that draws pixels to their segment's prototype")
    peaks: Weight = Field(1.0, description="weight of the loss between CAM and SAM's masks at its peaks")


class LgagSettings(BaseModel):
    """Local and global anchors: our guess at LGAGNet, which has no public code or text."""

    model_config = Strict

    start_epoch: int = Field(2, ge=0, le=1000, description="epochs before the global anchors are used")
    anchors: int = Field(10, ge=1, le=256, description="global anchors a class")
    queue: int = Field(512, ge=16, le=65536, description="latest prototypes a class that the anchors are made of")
    blend: Share = Field(0.5, description="share of the global anchors in a prototype")
