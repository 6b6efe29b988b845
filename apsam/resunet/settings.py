"""Settings of the segmentation network, section `resunet` of the configuration."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "encoder": "residual",
        "widths": (32, 64, 128, 256, 512),
        "pyramid_width": 128,
        "pyramid_keeps_input": False,
        "batch_size": 24,
        "epochs": 100,
        "optimizer": "sgd",
        "learning_rate": 1e-2,
        "weight_decay": 5e-4,
        "schedule": "plateau",
        "loss": "bce",
        "augment": "none",
        "crop": None,
        "input_scale": 1.0,
    },
    "demo": {
        "encoder": "efficientnet_lite0",
        "widths": (8, 16, 32, 64, 128),
        "pyramid_width": 32,
        "pyramid_keeps_input": True,
        "batch_size": 8,
        "epochs": 3,
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 1e-2,
        "schedule": "one_cycle",
        "loss": "bce_dice",
        "augment": "dihedral_colour",
        "crop": None,
        "input_scale": 1.0,
    },
}


class ResUNetSettings(BaseModel):
    """How the ResUNet is built and trained.

    `preset` gives every other key its value; keys that are written down beside it override it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["demo", "paper"] = Field("demo")
    encoder: Literal["residual", "efficientnet_lite0"] = Field()
    widths: tuple[int, int, int, int, int] = Field()
    pyramid_bins: tuple[int, ...] = Field((1, 2, 3, 6))
    pyramid_width: int = Field(ge=1)
    pyramid_keeps_input: bool = Field()
    batch_size: int = Field(ge=2)
    epochs: int = Field(ge=1)
    optimizer: Literal["sgd", "adamw"] = Field()
    learning_rate: float = Field(gt=0)
    encoder_learning_rate: float = Field(1.0, gt=0, le=1)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    schedule: Literal["plateau", "one_cycle", "constant"] = Field()
    loss: Literal["bce", "bce_dice"] = Field()
    augment: Literal["none", "dihedral", "dihedral_colour"] = Field()
    crop: int | None = Field()
    input_scale: float = Field(gt=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        preset = PRESETS.get(values.get("preset", "demo"), {})
        return {**preset, **values}
