"""Settings of the segmentation network, section `resunet` of the configuration. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apsam.training.length import AUTO_EPOCHS, RESUNET_STEPS, Epochs

# Values in which the presets differ; keys given in addition to `preset` override these.
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
    """The segmentation network trained on the pseudo-masks. The preset sets all keys; keys next to it override it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["demo", "paper"] = Field(
        "demo",
        description="paper: its network of 12.4 M parameters and its training. demo: a small pretrained network for "
        "2 CPU cores.",
    )
    encoder: Literal["residual", "efficientnet_lite0"] = Field(
        description="Encoder: residual (paper, trained from scratch) or efficientnet_lite0 (ImageNet weights)."
    )
    widths: tuple[int, int, int, int, int] = Field(description="Channels at strides 1, 2, 4, 8, 16.")
    pyramid_bins: tuple[int, ...] = Field((1, 2, 3, 6), min_length=1, description="Pyramid pooling: bins per side.")
    pyramid_width: int = Field(ge=1, le=1024, description="Pyramid pooling: channels per bin size.")
    pyramid_keeps_input: bool = Field(description="Pyramid pooling: concatenate the input, as PSPNet does (paper: no).")
    input_scale: float = Field(
        ge=0.25, le=1, description="Resize tiles by this factor inside the network: 0.5 is 4 times as fast."
    )
    batch_size: int = Field(ge=2, le=4096, description="Tiles per optimizer step.")
    epochs: Epochs = Field(
        description=f"Training epochs. auto: {AUTO_EPOCHS}, or as many as give at least {RESUNET_STEPS} optimizer "
        "steps."
    )
    keep: Literal["last", "best_on_labels"] = Field(
        "last",
        description="Which epoch is kept: last, or best_on_labels (released code): the epoch with the highest F1 on "
        "reference masks of training tiles, evaluated every second epoch. Results are then marked "
        "as_released, not held_out.",
    )
    optimizer: Literal["sgd", "adamw"] = Field(description="Optimizer: sgd (paper) or adamw.")
    learning_rate: float = Field(gt=0, description="Maximum learning rate.")
    encoder_rate: float = Field(gt=0, le=1, description="Learning rate of the encoder, as a share of `learning_rate`.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(ge=0, description="Weight decay.")
    schedule: Literal["plateau", "one_cycle", "constant"] = Field(
        description="Learning rate schedule: plateau (paper: halved when the training loss stops decreasing), "
        "one_cycle or constant."
    )
    loss: Literal["bce", "bce_dice"] = Field(description="Loss: bce (paper), or bce_dice: BCE plus soft Dice.")
    augment: Literal["none", "dihedral", "dihedral_colour"] = Field(
        description="Augmentation: none (paper), dihedral (flips and quarter turns), or dihedral_colour (colours too)."
    )

    zoom: float = Field(
        1.0,
        ge=1,
        le=4,
        description="Augmentation: half of the training tiles are replaced by a part of them at a random place, "
        "enlarged up to this many times. 1: whole tiles. For tiles cut around landslides, whose middle the network "
        "learns otherwise.",
    )

    if TYPE_CHECKING:  # the preset sets keys that are left out

        def __init__(self, **settings: Any) -> None: ...

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
