"""Settings of the localizer and of its maps (sections `localizer` and `cams` of config.yaml)."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from apsam.localizer.method_settings import (
    CdaSettings,
    CpnSettings,
    FlipCamSettings,
    LgagSettings,
    MethodName,
    OcCseSettings,
    S2cSettings,
    Share,
    SipeSettings,
)
from apsam.training.length import AUTO_EPOCHS, LOCALIZER_STEPS, Epochs


class Optimizer(NamedTuple):
    """Resolved settings of stochastic gradient descent."""

    learning_rate: float
    head_factor: float
    momentum: float
    weight_decay: float
    decay: Literal["steps", "poly"]


RECIPES = {
    "stable": Optimizer(0.001, 30.0, 0.9, 1e-4, "steps"),
    "as_written": Optimizer(0.1, 1.0, 0.9, 1e-4, "steps"),
    "as_released": Optimizer(0.1, 10.0, 1e-4, 1e-4, "poly"),
}


class AugmentationSettings(BaseModel):
    """Random augmentation of the training tiles, which keeps the label valid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dihedral: bool = Field(True, description="Flips and quarter turns.")
    zoom: tuple[float, float] = Field(
        (0.8, 1.25),
        description="Minimum and maximum magnification, drawn log-uniformly. Ground beyond the tile is filled by "
        "reflection.",
    )
    view: float = Field(
        1.0,
        ge=0.25,
        le=1,
        description="Side of the training crop, share of the side of the tile. Smaller crops train faster.",
    )
    shift: Share = Field(0.1, description="Maximum shift of the crop in each direction, share of the side of the tile.")
    colour: Share = Field(0.3, description="Maximum relative change of brightness, contrast and saturation.")
    occlusion: Share = Field(0.0, description="Probability that a square of the crop is painted over.")

    @field_validator("zoom")
    @classmethod
    def _in_order(cls, zoom: tuple[float, float]) -> tuple[float, float]:
        if not 0.25 <= zoom[0] <= zoom[1] <= 4:
            raise ValueError("zoom must be two rising numbers between 0.25 and 4")
        return zoom


class LocalizerSettings(BaseModel):
    """The localizer: a tile classifier trained on image-level labels, whose class activation maps show landslides.

    The CAM of Zhou et al. is `head: plain`, `pooling: mean`, `frozen_stages: 1`.

    The paper trains by SGD with learning rate 0.1, momentum 0.9, weight decay 1e-4 and stepwise decay; the
    code it released runs SGD with momentum 1e-4, because weight decay was passed in momentum's place.
    `recipe` chooses:

    ===========  =============  ===============  ========  ==========================================
    recipe       learning rate  times, for head  momentum  decay
    ===========  =============  ===============  ========  ==========================================
    stable       0.001          30               0.9       by `decay_factor` at `milestones`
    as_written   0.1            1                0.9       by `decay_factor` at `milestones`
    as_released  0.1            10               1e-4      (1 - step / steps)^0.9
    ===========  =============  ===============  ========  ==========================================
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: MethodName = Field(
        "cam",
        description="Weakly supervised localization method: cam (plain CAM), sipe, cda, cpn, oc_cse, flipcam, s2c "
        "or lgag_proxy (docs/methods.md).",
    )
    backbone: Literal["efficientnet_lite0", "resnet50"] = Field(
        "efficientnet_lite0", description="Feature extractor: efficientnet_lite0 or resnet50."
    )
    weights: str = Field(
        "imagenet",
        description="Initial weights of the backbone: imagenet (for resnet50 downloaded once), none, or a file.",
    )
    output_stride: Literal[8, 16, 32] = Field(
        16, description="Downsampling from tile to class activation map: 8, 16 or 32."
    )
    dilation: bool = Field(
        False,
        description="Use dilated convolutions in stages whose stride was removed. They have a larger receptive "
        "field, and their maps are less sharp.",
    )
    head: Literal["pixels", "plain"] = Field(
        "pixels",
        description="Classification head: pixels (a small network applied to each pixel of the features of several "
        "stages) or plain (one linear layer without bias on the last feature map, as Zhou et al.).",
    )
    hidden: int = Field(64, ge=1, le=1024, description="Hidden channels of the head `pixels`.")
    pooling: Literal["top", "mean"] = Field(
        "top",
        description="Score of a tile from its map: mean (Zhou et al.), or top: the mean of the highest values, so "
        "that scenery that co-occurs with landslides contributes less.",
    )
    top_share: float = Field(0.05, gt=0, le=1, description="Share of the map that is averaged with pooling: top.")
    frozen_stages: int = Field(
        5, ge=0, le=5, description="Number of first stages of the backbone that are not trained. 5: all."
    )
    recipe: Literal["stable", "as_written", "as_released"] = Field(
        "stable",
        description="Optimizer settings: stable, as_written (the paper) or as_released (its released code). The "
        "next five keys override single values.",
    )
    learning_rate: float | None = Field(
        None, gt=0, le=10, description="Learning rate of the backbone. null: as in the recipe."
    )
    head_factor: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Learning rate of the head, as a multiple of the backbone's. null: as in the recipe.",
    )
    momentum: float | None = Field(None, ge=0, lt=1, description="Momentum of SGD. null: as in the recipe.")
    weight_decay: float | None = Field(None, ge=0, lt=1, description="Weight decay of SGD. null: as in the recipe.")
    decay: Literal["steps", "poly"] | None = Field(
        None,
        description="Learning rate schedule: steps (reduced at the milestones) or poly (polynomial decay to 0). "
        "null: as in the recipe.",
    )
    milestones: tuple[Share, ...] = Field(
        (0.6, 0.9), description="Shares of the training after which the learning rate is reduced."
    )
    decay_factor: float = Field(0.1, gt=0, le=1, description="Factor of the learning rate at a milestone.")
    warmup_steps: int = Field(
        20,
        ge=0,
        description="Optimizer steps over which the learning rate rises linearly to its value; at most a quarter of "
        "all steps.",
    )
    gradient_clip: float = Field(5.0, ge=0, description="Maximum norm of the gradient. 0: no clipping.")
    epochs: Epochs = Field(
        "auto",
        description=f"Training epochs. auto: {AUTO_EPOCHS}, or as many as give at least {LOCALIZER_STEPS} optimizer "
        "steps.",
    )
    batch_size: int = Field(16, ge=2, le=1024, description="Tiles per optimizer step.")
    balanced: bool = Field(
        True,
        description="As many positive as negative tiles per batch. An epoch then has twice as many tiles as the "
        "rarer label.",
    )
    augmentation: AugmentationSettings = Field(
        default_factory=AugmentationSettings, description="Random augmentation of the training tiles."
    )
    memory_mb: int = Field(
        2000, ge=0, description="Keep the training tiles in memory up to this size, MB. Larger sets are read from disk."
    )
    sipe: SipeSettings = Field(default_factory=SipeSettings, description="Settings of methods sipe and lgag_proxy.")
    cda: CdaSettings = Field(default_factory=CdaSettings, description="Settings of method cda.")
    cpn: CpnSettings = Field(default_factory=CpnSettings, description="Settings of method cpn.")
    oc_cse: OcCseSettings = Field(default_factory=OcCseSettings, description="Settings of method oc_cse.")
    flipcam: FlipCamSettings = Field(default_factory=FlipCamSettings, description="Settings of method flipcam.")
    s2c: S2cSettings = Field(default_factory=S2cSettings, description="Settings of method s2c.")
    lgag: LgagSettings = Field(default_factory=LgagSettings, description="Settings of method lgag_proxy.")

    def optimizer(self) -> Optimizer:
        """Return the recipe's values, overridden by those that are set."""
        given = {
            name: value
            for name in ("learning_rate", "head_factor", "momentum", "weight_decay", "decay")
            if (value := getattr(self, name)) is not None
        }
        return RECIPES[self.recipe]._replace(**given)


class CamSettings(BaseModel):
    """Class activation maps (CAMs) of a trained localizer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: tuple[Annotated[float, Field(ge=0.25, le=4)], ...] = Field(
        (1.0,),
        min_length=1,
        description="Input sizes, relative to the tile. The maps of all scales are summed.",
    )
    flips: Literal["none", "horizontal", "dihedral"] = Field(
        "dihedral",
        description="Test-time augmentation per scale: none (1 view), horizontal (2) or dihedral (8: flips and "
        "quarter turns).",
    )
    views_sum: Literal["evidence", "as_released"] = Field(
        "evidence",
        description="Sum of the views: evidence sets the negative values of each view to 0 before summing; "
        "as_released sums the views of a scale first and divides each scale by its maximum, as the "
        "released code does.",
    )
    normalise: Literal["max", "as_released"] = Field(
        "max",
        description="Scaling to grey values 0..255: max divides by the maximum of the tile; as_released stretches "
        "minimum to maximum, as the released code does when it writes a PNG.",
    )
    gamma: float = Field(
        0.5,
        gt=0,
        le=4,
        description="Exponent applied to the scaled map. It changes grey values, not their order: with 0.5 the "
        "paper's threshold of 120 is 22 % of the maximum. 1: leave the map as it is (paper).",
    )
    refine: Literal["none", "prototype"] = Field(
        "none",
        description="Refinement: none, or prototype: multiply by the similarity to the landslide and background "
        "pixels of the same tile.",
    )
    context: int = Field(
        0,
        ge=0,
        le=512,
        multiple_of=16,
        description="Margin of the scene around a tile that the localizer sees too, pixels; reflected at the border "
        "of the scene. 0 (paper): the tile alone, whose map is then biased towards the middle of the "
        "tile.",
    )
    batch_size: int = Field(16, ge=1, le=1024, description="Tiles per batch.")
