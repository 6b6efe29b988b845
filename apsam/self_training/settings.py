"""Settings of self-training, section `self_training` of the configuration. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SelfTrainingSettings(BaseModel):
    """A second round of pseudo-masks and ResUNet, from the maps of the first. The paper has one round."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: Literal[1, 2] = Field(
        1,
        description="2: the ResUNet of the first round maps the training scenes, and these maps, emptied where the "
        "labels exclude a landslide, give the pseudo-masks of a further ResUNet. Its files are called "
        "self_training.",
    )
    source: Literal["cam", "apsam"] = Field(
        "cam",
        description="Masks of tiles (ground.masks: tiles): the pseudo-masks whose ResUNet makes the heat maps that SAM "
        "is prompted with in the second round: cam (measured best), or apsam (that ResUNet repeats the errors "
        "of SAM's masks).",
    )
    cam_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Masks of tiles: share of the CAM in these heat maps, the mean of CAM and map. 0: the map "
        "alone, which repeats the place that landslides have in the training tiles.",
    )
    mask_prompt: bool = Field(
        True,
        description="Masks of tiles: pass these heat maps to SAM as a mask prompt too, whatever masks.cam_mask is.",
    )
