"""Settings of the SAM stages: the encoder, and the conversion of its masks to pseudo-masks.

There are two models for two stages: `SamSettings` determines the embeddings (expensive, made once),
`MasksSettings` only the decoding of these embeddings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apsam.sam.names import SamName

MaskChoice = Literal["single", "best_iou", "index"]
Batch = Annotated[int, Field(ge=1)] | Literal["auto"]

Channels = Literal["rgb", "bgr"]


class SamSettings(BaseModel):
    """The Segment Anything Model and its image encoder."""

    model_config = ConfigDict(extra="forbid")

    name: SamName = Field(
        "light",
        description="light (comes with the package); vit_b, vit_l, vit_h (official) or mobile (downloaded once); "
        "sam2.1_large, sam3, sam_hq_vit_h and others, a repository of the Hugging Face hub "
        "(organisation/repository) or a folder (./path), whose weights you fetch yourself "
        "(docs/sam.md).",
    )
    checkpoint: Path | None = Field(
        None,
        description="File of weights (.pth or .safetensors), or for a model of the Hugging Face hub its folder. "
        "null: the packaged weights, or those found or downloaded by name.",
    )
    window: int | None = Field(
        None,
        ge=256,
        description="Encode windows of the scene of this side, pixels, at full resolution (1024: SAM's own input "
        "size), each shared by all tiles in it. null (paper): encode each tile, resized to SAM's input "
        "size.",
    )
    attention: Literal["fast", "original"] = Field(
        "fast",
        description="fast: memory-efficient attention in encoder and decoder, numerically equivalent. original: as "
        "in SAM's released code.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Arithmetic of the image encoder: fp32, bf16, or auto (bf16 where the device has native support).",
    )
    channels: Channels = Field(
        "rgb",
        description="Channel order of the image passed to SAM: rgb, as SAM was trained, or bgr (APSAM's released "
        "code).",
    )
    batch: Batch = Field(
        "auto", description="Tiles encoded per batch; halved automatically when memory runs out. auto: by device."
    )


class MasksSettings(BaseModel):
    """Pseudo-masks from prompts and SAM embeddings."""

    model_config = ConfigDict(extra="forbid")

    prompts: Literal["both", "points", "boxes"] = Field(
        "both", description="Prompts passed to SAM: both (paper), points or boxes."
    )
    mask_choice: MaskChoice = Field(
        "single",
        description="single: SAM's single-mask output. best_iou: of its three masks the one with the highest "
        "predicted IoU. index: always the same of the three (released code: index, with mask_index 0).",
    )
    mask_index: int = Field(0, ge=0, le=2, description="Which of the three masks is used with mask_choice: index.")
    join: Literal["or", "add"] = Field(
        "or",
        description="How the masks of a tile's prompts are combined: or (union); add (released code): added as "
        "bytes, and metrics ignore pixels covered by more than one mask. Results with add are marked "
        "as_released, not held_out.",
    )
    cam_mask: bool = Field(
        False, description="Pass the CAM of the tile to SAM as a mask prompt too (not in the paper)."
    )
    select: Literal["agreement"] = Field(
        "agreement",
        description="Selection of a tile's threshold with prompts.threshold: auto: agreement of SAM's mask with the "
        "CAM. No label is read.",
    )
    batch: Batch = Field(
        "auto", description="Prompts decoded per batch; halved automatically when memory runs out. auto: by device."
    )

    @model_validator(mode="after")
    def _index_only_where_used(self) -> MasksSettings:
        if self.mask_index and self.mask_choice != "index":
            raise ValueError(f"mask_index: {self.mask_index} has no effect with mask_choice: {self.mask_choice}")
        return self


class EverythingSettings(BaseModel):
    """SAM's automatic mask generator (full-image mode)."""

    model_config = ConfigDict(extra="forbid")

    points_per_side: int = Field(32, ge=1, description="Points per side of the prompt grid.")
    min_iou: float = Field(0.88, ge=0, le=1, description="Minimum predicted IoU of a mask. 0: no filter.")
    min_stability: float = Field(0.95, ge=0, le=1, description="Minimum stability score of a mask. 0: no filter.")
    stability_offset: float = Field(1.0, gt=0, description="Offset of the logits used for the stability score.")
    max_box_overlap: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Non-maximum suppression: IoU of two boxes above which only the better mask is kept.",
    )
    min_area: int = Field(0, ge=0, description="Drop masks of this area or smaller, pixels.")
