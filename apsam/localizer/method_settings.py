"""Settings of the localization methods (keys `localizer.sipe`, `localizer.cda`, ...), separate from their code."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MethodName = Literal["cam", "sipe", "cda", "cpn", "oc_cse", "flipcam", "s2c", "lgag_proxy"]
# Files made by the offline stage, for the methods that have one.
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
    """Self-supervised image-specific prototypes (SIPE); lgag_proxy uses them too."""

    model_config = Strict

    code: Literal["as_written", "as_released"] = Field(
        "as_written",
        description="as_written: as in the SIPE paper. as_released: as in APSAM's released code (features not "
        "detached, consistency loss on negative tiles too, the plain CAM instead of the map of the "
        "prototypes).",
    )
    consistency: Weight = Field(
        1.0, description="Weight of the consistency loss between the CAM and the map of the prototypes."
    )
    background: Share = Field(0.5, description="Factor of the similarity to the background before seeds are assigned.")


class CdaSettings(BaseModel):
    """Context decoupling augmentation (CDA): objects cut out of tiles and pasted into others."""

    model_config = Strict

    code: Literal["binary", "as_written"] = Field(
        "binary",
        description="binary: half of what is pasted into negative tiles is background, so that the seam does not "
        "reveal the label. as_written: landslides only, as in the paper for many classes.",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Training epochs of the first localizer, whose CAMs define the objects. null: as localizer.epochs.",
    )
    threshold: Share = Field(
        0.4, description="Threshold that cuts an object out of the first CAM, share of the maximum."
    )
    area: tuple[Share, Share] = Field(
        (0.02, 0.7), description="Minimum and maximum area of an object, share of its tile."
    )
    objects: int = Field(256, ge=1, le=4096, description="Maximum number of objects, the most confident first.")

    @model_validator(mode="after")
    def _in_order(self) -> CdaSettings:
        if self.area[0] >= self.area[1]:
            raise ValueError(f"area: {list(self.area)} must be two rising shares")
        return self


class CpnSettings(BaseModel):
    """Complementary patch network (CPN)."""

    model_config = Strict

    code: Literal["as_written", "as_released"] = Field(
        "as_written",
        description="as_written: as in the CPN paper. as_released: with the two axes of the region keys swapped, as "
        "in the released code.",
    )
    segments: int = Field(100, ge=2, le=10000, description="Superpixels per tile.")
    compactness: float = Field(
        10.0, gt=0, description="Compactness of the superpixels. Higher values give squarer ones."
    )
    hardest: float = Field(
        0.2, gt=0, le=1, description="Share of the pixels with the largest error in the cross regularization."
    )


class OcCseSettings(BaseModel):
    """Class-specific erasing with an ordinary classifier (OC-CSE)."""

    model_config = Strict

    epochs: int | None = Field(
        None, ge=1, le=1000, description="Training epochs of the ordinary classifier. null: as localizer.epochs."
    )
    weight: tuple[Weight, Weight] = Field(
        (0.3, 1.0), description="Weight of the erasing loss at the beginning and at the end of the training."
    )


class FlipCamSettings(BaseModel):
    """Consistency of a flipped reference and merged quarters (FlipCAM)."""

    model_config = Strict

    consistency: Weight = Field(
        1.25,
        description="Final weight of the loss between the reference and the merged quarters (released code: 1.25 or "
        "0.25).",
    )
    ramp: float = Field(
        0.5, gt=0, le=1, description="Share of the training over which the weight rises to its final value."
    )


class S2cSettings(BaseModel):
    """From SAM to CAMs (S2C)."""

    model_config = Strict

    start_epoch: int = Field(
        2, ge=0, le=1000, description="First epoch, counted from 0, in which SAM is prompted at the peaks of the CAM."
    )
    peak: Share = Field(0.5, description="Minimum height of a peak, share of the maximum of the tile.")
    distance: int = Field(20, ge=1, le=1024, description="Minimum distance of two peaks, pixels.")
    mask_choice: Literal["index", "best_iou"] = Field(
        "index",
        description="Which of SAM's three masks is used: index (the third, as released) or best_iou (the one with "
        "the highest predicted IoU).",
    )
    points_per_side: int = Field(
        6, ge=1, le=64, description="Points per side of the grid that prompts SAM for segments (released code: 32)."
    )
    min_iou: Share = Field(
        0.0, description="Minimum predicted IoU of a segment (released code: 0.88, which the light SAM never predicts)."
    )
    min_stability: Share = Field(
        0.5,
        description="Minimum stability score of a segment (released code: 0.95, which the light SAM never reaches).",
    )
    segments: Weight = Field(1.0, description="Weight of the loss that pulls pixels to the prototype of their segment.")
    peaks: Weight = Field(1.0, description="Weight of the loss between the CAM and SAM's masks at its peaks.")


class LgagSettings(BaseModel):
    """Local and global anchors: a reconstruction of LGAGNet, which has no public code or text."""

    model_config = Strict

    start_epoch: int = Field(2, ge=0, le=1000, description="First epoch, counted from 0, that uses the global anchors.")
    anchors: int = Field(10, ge=1, le=256, description="Global anchors per class.")
    queue: int = Field(
        512,
        ge=16,
        le=65536,
        description="Number of most recent prototypes per class that the anchors are computed from.",
    )
    blend: Share = Field(0.5, description="Share of the global anchors in a prototype.")
