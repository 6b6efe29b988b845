"""Settings of the experiments, section `experiments` of the configuration. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from apsam.localizer.method_settings import MethodName
from apsam.sam.names import SamName
from apsam.sam.settings import EverythingSettings

GreyValue = Annotated[int, Field(ge=0, le=254)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Table1Settings(BaseModel):
    """Localization methods side by side (paper, Table 1)."""

    model_config = ConfigDict(extra="forbid")

    methods: tuple[MethodName, ...] = Field(
        ("cam", "sipe", "cda", "cpn", "oc_cse", "flipcam", "s2c", "lgag_proxy"),
        min_length=1,
        description="compared; cam is what costs are relative to",
    )
    refined: bool = Field(
        True, description="a further row: the plain CAM sharpened by each tile's own prototypes (cams.refine)"
    )
    seeds: tuple[Seed, ...] = Field((1, 2, 3), min_length=1, description="seeds of the trainings")
    network: Literal["run", "zhou"] = Field(
        "run",
        description="localizer of all rows: the run's, or zhou: linear head, mean pooling, backbone trained from its "
        "second stage on, maps neither spread nor peaked (the setting the methods were made for; slower)",
    )
    epochs: int | None = Field(None, ge=1, le=1000, description="of every localizer; null: the run's")
    resunet_epochs: int | None = Field(None, ge=1, le=1000, description="of every ResUNet; null: the run's")
    flips: Literal["none", "horizontal", "dihedral"] | None = Field(
        None,
        description="views that every map is summed over, as cams.flips (none, horizontal, dihedral); null: the run's",
    )
    candidates: tuple[GreyValue, ...] | None = Field(None, description="cuts tried; null: the run's")
    resunet: bool = Field(True, description="train a ResUNet on every method's masks; false: measure masks alone")
    bounds: bool = Field(True, description="also a fixed box, and ResUNets on it and on true masks: the two bounds")

    @field_validator("methods", "seeds")
    @classmethod
    def _no_doubles(cls, values: tuple) -> tuple:
        if len(set(values)) != len(values):
            raise ValueError("names the same twice")
        return values


class ExperimentSettings(BaseModel):
    """What the experiments try; each is a target of its own (docs/reproducing.md)."""

    model_config = ConfigDict(extra="forbid")

    thresholds: tuple[GreyValue, ...] = Field(
        tuple(range(50, 171, 10)),
        min_length=1,
        description="threshold_sweep: CAM thresholds tried (paper, Fig. 5: 50 to 170)",
    )
    retrain: bool = Field(
        False, description="threshold_sweep: train and measure a ResUNet at every threshold too (hours)"
    )
    everything_tiles: int = Field(
        4, ge=1, le=64, description="everything_vs_apsam: tiles sampled of those labelled positive, held-out ones first"
    )
    everything: EverythingSettings = Field(
        default_factory=lambda: EverythingSettings(min_iou=0.5, min_stability=0.7),
        description="everything_vs_apsam: full-image mode of SAM (paper, Fig. 4). SAM's own filters, 0.88 and 0.95, "
        "leave nothing of what the light SAM finds: it rates no mask so high",
    )
    sams: tuple[SamName, ...] = Field(
        ("light", "mobile", "vit_b", "vit_l", "vit_h"),
        min_length=1,
        description="sam_size: SAMs compared; one whose weights are not on this machine is named as skipped",
    )
    seeds: tuple[Seed, ...] = Field((1, 2, 3), min_length=2, description="seeds: seeds of the trainings")
    seeds_of: tuple[Literal["pseudo_masks", "threshold_sweep", "prompt_ablation", "resunet"], ...] = Field(
        ("pseudo_masks", "threshold_sweep", "prompt_ablation"),
        min_length=1,
        description="seeds: what is measured with every seed; resunet trains the networks again too",
    )

    table1: Table1Settings = Field(
        default_factory=Table1Settings, description="table1: localization methods side by side (paper, Table 1)"
    )

    @field_validator("thresholds", "sams", "seeds", "seeds_of")
    @classmethod
    def _no_doubles(cls, values: tuple) -> tuple:
        if len(set(values)) != len(values):
            raise ValueError("names the same twice")
        return values

    @field_validator("thresholds")
    @classmethod
    def _rising(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(values))
