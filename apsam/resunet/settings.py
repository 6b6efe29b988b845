"""Settings of the segmentation network, section `resunet` of the configuration. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apsam.training.length import AUTO_EPOCHS, RESUNET_STEPS, Epochs

# What differs between the presets; keys written beside `preset` win over these.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "encoder": "residual",
        "widths": (32, 64, 128, 256, 512),
        "pyramid_width": 128,
        "pyramid_keeps_input": False,
        "input_scale": 1.0,
        "batch_size": 24,
        "epochs": 100,
        "optimizer": "sgd",
        "learning_rate": 1e-2,
        "encoder_rate": 1.0,
        "weight_decay": 5e-4,
        "schedule": "plateau",
        "loss": "bce",
        "augment": "none",
    },
    "demo": {
        "encoder": "efficientnet_lite0",
        "widths": (8, 16, 32, 64, 128),
        "pyramid_width": 32,
        "pyramid_keeps_input": True,
        "input_scale": 0.5,
        "batch_size": 8,
        "epochs": "auto",
        "optimizer": "adamw",
        "learning_rate": 1e-2,
        "encoder_rate": 0.1,
        "weight_decay": 1e-2,
        "schedule": "one_cycle",
        "loss": "bce_dice",
        "augment": "dihedral_colour",
    },
}


class ResUNetSettings(BaseModel):
    """The ResUNet that is trained on the pseudo-masks. A preset gives every key; keys written beside it win."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["demo", "paper"] = Field(
        "demo", description="paper: its 12.4 M parameters and training; demo: small, pretrained, for 2 CPU cores"
    )
    encoder: Literal["residual", "efficientnet_lite0"] = Field(
        description="residual (from scratch, the paper's) or efficientnet_lite0 (with ImageNet weights)"
    )
    widths: tuple[int, int, int, int, int] = Field(description="channels at strides 1, 2, 4, 8, 16")
    pyramid_bins: tuple[int, ...] = Field((1, 2, 3, 6), min_length=1, description="pyramid pooling: bins a side")
    pyramid_width: int = Field(ge=1, le=1024, description="pyramid pooling: channels of each bin size")
    pyramid_keeps_input: bool = Field(description="pass on what is pooled too, as PSPNet does; the paper does not")
    input_scale: float = Field(
        ge=0.25, le=1, description="tiles are shrunk to this inside the network: 0.5 is 4x faster"
    )
    batch_size: int = Field(ge=2, le=4096, description="tiles a step")
    epochs: Epochs = Field(
        description=f"passes over the training tiles; auto: {AUTO_EPOCHS}, more where these are fewer than "
        f"{RESUNET_STEPS} steps"
    )
    keep: Literal["last", "best_on_labels"] = Field(
        "last",
        description="which epoch's network is kept: last; best_on_labels (the paper's code): that with the best F1 on "
        "true masks of training tiles, looked at every second epoch. Figures are then as_released, not held_out",
    )
    optimizer: Literal["sgd", "adamw"] = Field(description="sgd (paper) or adamw")
    learning_rate: float = Field(gt=0, description="highest learning rate")
    encoder_rate: float = Field(gt=0, le=1, description="the encoder's share of the learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(ge=0, description="weight decay")
    schedule: Literal["plateau", "one_cycle", "constant"] = Field(
        description="plateau (paper: halved when the training loss stands still), one_cycle or constant"
    )
    loss: Literal["bce", "bce_dice"] = Field(description="bce (paper) or bce_dice: with soft dice added")
    augment: Literal["none", "dihedral", "dihedral_colour"] = Field(
        description="none (paper), dihedral: turned and mirrored tiles, dihedral_colour: varied colours too"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        preset = values.get("preset", "demo")
        return {**PRESETS[preset], **values} if isinstance(preset, str) and preset in PRESETS else values

    @model_validator(mode="after")
    def _widths_positive(self) -> ResUNetSettings:
        if min(self.widths) < 1 or min(self.pyramid_bins) < 1:
            raise ValueError("widths and pyramid_bins must be 1 or more")
        return self
