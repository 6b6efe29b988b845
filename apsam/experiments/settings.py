"""Settings of the experiments, section `experiments` of the configuration. Does not import torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from apsam.localizer.method_settings import MethodName
from apsam.sam.names import SamName
from apsam.sam.settings import EverythingSettings

GreyValue = Annotated[int, Field(ge=0, le=254)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


def _distinct(values: tuple) -> tuple:
    if len(set(values)) != len(values):
        raise ValueError("names the same twice")
    return values


class Table1Settings(BaseModel):
    """Comparison of localization methods (paper, Table 1)."""

    model_config = ConfigDict(extra="forbid")

    methods: tuple[MethodName, ...] = Field(
        ("cam", "sipe", "cda", "cpn", "oc_cse", "flipcam", "s2c", "lgag_proxy"),
        min_length=1,
        description="Methods compared. Costs are given relative to cam.",
    )
    refined: bool = Field(True, description="One more row: the plain CAM with cams.refine: prototype.")
    seeds: tuple[Seed, ...] = Field((1, 2, 3), min_length=1, description="Random seeds of the trainings.")
    network: Literal["run", "zhou"] = Field(
        "run",
        description="Localizer of all rows: run (that of the run), or zhou: plain head, mean pooling, backbone "
        "trained from its second stage on, cams.gamma: 1 (the setting the methods were designed for; "
        "slower).",
    )
    epochs: int | None = Field(
        None, ge=1, le=1000, description="Training epochs of every localizer. null: as in the run."
    )
    resunet_epochs: int | None = Field(
        None, ge=1, le=1000, description="Training epochs of every ResUNet. null: as in the run."
    )
    flips: Literal["none", "horizontal", "dihedral"] | None = Field(
        None,
        description="Test-time augmentation of every CAM, as cams.flips: none, horizontal or dihedral. null: as in "
        "the run.",
    )
    candidates: tuple[GreyValue, ...] | None = Field(None, description="CAM thresholds tried. null: as in the run.")
    resunet: bool = Field(
        True, description="Train a ResUNet on the masks of every method. false: measure the pseudo-masks only."
    )
    bounds: bool = Field(
        True, description="Two bounds: a fixed centred box and the reference masks, each with a ResUNet trained on it."
    )

    _distinct = field_validator("methods", "seeds")(_distinct)


class ExperimentSettings(BaseModel):
    """The paper's experiments; each is a target of its own (docs/reproducing.md)."""

    model_config = ConfigDict(extra="forbid")

    thresholds: tuple[GreyValue, ...] = Field(
        tuple(range(50, 171, 10)),
        min_length=1,
        description="threshold_sweep: CAM thresholds tried (paper, Fig. 5: 50 to 170).",
    )
    retrain: bool = Field(
        False, description="threshold_sweep: also train and measure a ResUNet for every threshold (hours)."
    )
    everything_tiles: int = Field(
        4, ge=1, le=64, description="everything_vs_apsam: number of positive tiles sampled, held-out ones first."
    )
    everything: EverythingSettings = Field(
        default_factory=lambda: EverythingSettings(min_iou=0.5, min_stability=0.7),
        description="everything_vs_apsam: SAM's automatic mask generator (paper, Fig. 4). SAM's own filters, 0.88 "
        "and 0.95, keep no mask of the light SAM, whose predicted IoU is lower.",
    )
    sams: tuple[SamName, ...] = Field(
        ("light", "mobile", "vit_b", "vit_l", "vit_h"),
        min_length=1,
        description="sam_size: SAMs compared. Those whose weights are not on this machine are listed as skipped.",
    )
    seeds: tuple[Seed, ...] = Field((1, 2, 3), min_length=2, description="seeds: random seeds of the trainings.")
    seeds_of: tuple[Literal["pseudo_masks", "threshold_sweep", "prompt_ablation", "resunet"], ...] = Field(
        ("pseudo_masks", "threshold_sweep", "prompt_ablation"),
        min_length=1,
        description="seeds: what is measured with every seed: pseudo_masks, threshold_sweep, prompt_ablation, and "
        "resunet, which trains the networks again too.",
    )

    table1: Table1Settings = Field(
        default_factory=Table1Settings, description="table1: comparison of localization methods (paper, Table 1)."
    )

    _distinct = field_validator("thresholds", "sams", "seeds", "seeds_of")(_distinct)

    @field_validator("thresholds")
    @classmethod
    def _rising(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(values))
