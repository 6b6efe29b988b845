"""Settings of what is done on the ground of a scene, sections `ground` and `views` of the configuration.

Imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class GroundSettings(BaseModel):
    """Use of the labels of overlapping tiles, and per-tile or scene-wide pseudo-masks. Paper: `exclude: false`.

    For your own scenes, `heat_maps: labels` and `masks: scene` measure best, with `masks.cam_mask: true`,
    `resunet.loss: bce` and `decision: expected_f1` (docs/ground.md, config/real_scenes.yaml).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    exclude: bool = Field(
        True,
        description="A tile labelled negative also empties the heat maps and masks of all tiles that overlap it, on "
        "the shared ground (docs/ground.md). false (paper): the label of each tile counts for that tile only, as "
        "always with label_gate: false.",
    )
    folds: int = Field(
        5,
        ge=0,
        le=20,
        description="Folds of the cross-validation that finds training tiles labelled negative by mistake "
        "(docs/ground.md), whose labels then exclude nothing; tiles that hardly overlap are not checked. "
        "0: use all labels.",
    )
    heat_maps: Literal["cam", "labels"] = Field(
        "cam",
        description="Source of the prompts: cam (paper), or labels: heat maps of networks trained on the label map "
        "of the scene (section `heatmaps`).",
    )
    masks: Literal["tiles", "scene"] = Field(
        "tiles",
        description="tiles (paper): one pseudo-mask per tile. scene: one pseudo-mask per scene, from views shown to "
        "SAM (section `views`); the ResUNet then trains on random crops.",
    )
    decision: Literal["threshold", "expected_f1"] = Field(
        "threshold",
        description="Threshold of the map from scene-wide pseudo-masks: threshold (that of section `maps`), or "
        "expected_f1: the threshold with the highest F1 expected from the predicted probabilities "
        "(needs resunet.loss: bce).",
    )

    @field_validator("folds")
    @classmethod
    def _two_or_more(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("a cross-validation has two folds or more; 0 uses all labels")
        return folds

    @model_validator(mode="after")
    def _belong_together(self) -> GroundSettings:
        if (self.masks == "scene") != (self.heat_maps == "labels"):
            raise ValueError(
                f"masks: {self.masks} with heat_maps: {self.heat_maps} is not made; scene-wide masks come from heat "
                f"maps from labels (masks: scene, heat_maps: labels), masks of tiles from CAMs (masks: tiles, "
                f"heat_maps: cam)"
            )
        if self.decision != "threshold" and self.masks != "scene":
            raise ValueError(f"decision: {self.decision} is for masks: scene; set decision: threshold")
        return self


class ViewSettings(BaseModel):
    """Windows of the scene shown to SAM for scene-wide pseudo-masks, independent of the labelled tiles."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: Annotated[float, Field(ge=1, le=16)] | Literal["auto"] = Field(
        "auto",
        description="Downsampling factor of a view: 2 shows SAM twice the ground along each side, at half the "
        "resolution. auto: chosen by how much of a view the heat map covers, without masks.",
    )
    factors: tuple[Annotated[float, Field(ge=1, le=16)], ...] = Field(
        (1, 2, 4), min_length=1, description="Downsampling factors that auto chooses from."
    )
    covered: float = Field(
        0.4,
        gt=0,
        le=1,
        description="auto: the smallest factor at which the heat map covers at most this share of a typical view.",
    )
    multiples: tuple[Annotated[float, Field(ge=1, le=4)], ...] = Field(
        (1, 2),
        min_length=1,
        description="Multiples of the factor at which SAM is shown views, all of which vote: fine views have sharper "
        "outlines, coarse ones more surroundings.",
    )
    size: int = Field(256, ge=64, le=2048, multiple_of=32, description="Side of a view, in pixels of the view.")
    step: int = Field(154, ge=16, le=2048, description="Stride of the views, at most their side, in pixels.")
    votes: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Minimum share of the overlapping views with a prompt whose masks must contain a pixel for it to "
        "be landslide.",
    )

    @model_validator(mode="after")
    def _without_gaps(self) -> ViewSettings:
        if self.step > self.size:
            raise ValueError(f"step: {self.step} leaves gaps between views of {self.size} px; set at most {self.size}")
        return self

    def on_ground(self, factor: float) -> tuple[int, int]:
        """Side and step of views in pixels of the scene."""
        return round(self.size * factor), max(1, round(self.step * factor))
