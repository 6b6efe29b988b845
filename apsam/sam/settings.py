"""Settings of the SAM stages: which SAM encodes, and how its answers become pseudo-masks.

Two models, because they are two rules: what is in `SamSettings` decides the embeddings (costly, made once),
what is in `MasksSettings` only asks those embeddings again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apsam.sam.names import SamName

MaskChoice = Literal["single", "best_iou", "index"]
Batch = Annotated[int, Field(ge=1)] | Literal["auto"]


class SamSettings(BaseModel):
    """Which SAM, and how its image encoder is run."""

    model_config = ConfigDict(extra="forbid")

    name: SamName = Field(
        "light",
        description="light (in the package); vit_b, vit_l, vit_h (official) or mobile: downloaded; sam2.1_large, sam3, "
        "sam_hq_vit_h and others (docs/sam.md), a repository of the Hugging Face hub (organisation/repository) or a "
        "folder (./path): fetched by you",
    )
    checkpoint: Path | None = Field(
        None,
        description="weights (.pth, .safetensors; of a SAM of the hub, its folder); none: the packaged ones, or those "
        "found or downloaded by name",
    )
    window: int | None = Field(
        None,
        ge=256,
        description="encode windows of the scene of this side, pixels, at its own resolution (1024: what SAM sees), "
        "each for all tiles in it; none: every tile, brought to the size that SAM sees, as in the paper",
    )
    attention: Literal["fast", "original"] = Field(
        "fast",
        description="fast: memory-efficient attention, numerically equivalent, in encoder and decoding; original: as "
        "released",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="arithmetic of the image encoder: fp32, bf16, or auto: bf16 where the device computes it natively",
    )
    channels: Literal["rgb", "bgr"] = Field(
        "rgb",
        description="order of the colours that SAM is given: rgb, which it was trained on, or bgr (the paper's code)",
    )
    batch: Batch = Field(
        "auto", description="tiles encoded at a time; halved by itself where memory runs out; auto: by the device"
    )


class MasksSettings(BaseModel):
    """How prompts and embeddings become pseudo-masks."""

    model_config = ConfigDict(extra="forbid")

    prompts: Literal["both", "points", "boxes"] = Field(
        "both", description="prompts SAM is given: both (paper), points or boxes"
    )
    mask_choice: MaskChoice = Field(
        "single",
        description="single: SAM's one mask a prompt; best_iou: of its three, the one it rates best; "
        "index: always the same of the three (the paper's code: index, 0)",
    )
    mask_index: int = Field(0, ge=0, le=2, description="which of the three masks with mask_choice: index")
    join: Literal["or", "add"] = Field(
        "or",
        description="or: a tile's mask is the union of its prompts' masks; add (the paper's code): they are added as "
        "bytes, and the figures leave out every pixel that several claim. Figures are then as_released, not held_out",
    )
    cam_mask: bool = Field(False, description="give SAM the tile's CAM as a mask prompt too (beyond the paper)")
    select: Literal["agreement"] = Field(
        "agreement",
        description="how one of a tile's several prompt sets is picked (prompts.threshold: auto): "
        "by the agreement of SAM's mask with the CAM; no label is read",
    )
    batch: Batch = Field(
        "auto", description="prompts decoded at a time; halved by itself where memory runs out; auto: by the device"
    )

    @model_validator(mode="after")
    def _index_only_where_used(self) -> MasksSettings:
        if self.mask_index and self.mask_choice != "index":
            raise ValueError(f"mask_index: {self.mask_index} has no effect with mask_choice: {self.mask_choice}")
        return self


class EverythingSettings(BaseModel):
    """Full-image mode: which points are asked and which answers are kept; defaults of SAM's own generator."""

    model_config = ConfigDict(extra="forbid")

    points_per_side: int = Field(32, ge=1, description="points of the grid along a side")
    min_iou: float = Field(0.88, ge=0, le=1, description="predicted IoU an answer must exceed; 0: no filter")
    min_stability: float = Field(0.95, ge=0, le=1, description="lowest stability of an answer; 0: no filter")
    stability_offset: float = Field(1.0, gt=0, description="shift of the logits that stability is measured with")
    max_box_overlap: float = Field(0.7, gt=0, le=1, description="IoU of boxes above which two answers are one")
    min_area: int = Field(0, ge=0, description="answers of this area or less are left out, pixels")
