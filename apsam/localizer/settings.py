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
    """Stochastic gradient descent as it will be run."""

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
    """Random changes of a training tile: its label stays true, its landslide is no longer central."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dihedral: bool = Field(True, description="flips and quarter turns")
    zoom: tuple[float, float] = Field(
        (0.8, 1.25),
        description="least and most magnification, log-uniform; beyond the tile lies its mirror image",
    )
    view: float = Field(1.0, ge=0.25, le=1, description="side of a view, share of the tile's side; smaller is faster")
    shift: Share = Field(0.1, description="most shift of the view in each direction, share of the tile's side")
    colour: Share = Field(0.3, description="brightness, contrast and saturation change by up to this share")
    occlusion: Share = Field(0.0, description="probability that a square of the view is painted over")

    @field_validator("zoom")
    @classmethod
    def _in_order(cls, zoom: tuple[float, float]) -> tuple[float, float]:
        if not 0.25 <= zoom[0] <= zoom[1] <= 4:
            raise ValueError("zoom must be two rising numbers between 0.25 and 4")
        return zoom


class LocalizerSettings(BaseModel):
    """Which network learns to tell tiles with landslides from tiles without, and how.

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
        description="what is learned beside the label: cam (nothing), sipe, cda, cpn, oc_cse, flipcam, s2c, "
        "lgag_proxy (docs/methods.md)",
    )
    backbone: Literal["efficientnet_lite0", "resnet50"] = Field(
        "efficientnet_lite0", description="feature extractor: efficientnet_lite0 or resnet50"
    )
    weights: str = Field(
        "imagenet",
        description="imagenet (resnet50: downloaded once), none, or a file with the backbone's weights",
    )
    output_stride: Literal[8, 16, 32] = Field(
        16, description="tile pixels per pixel of the class activation map: 8, 16 or 32"
    )
    dilation: bool = Field(
        False, description="spread the kernels of stages that lost their stride (wider view, blunter maps)"
    )
    head: Literal["pixels", "plain"] = Field(
        "pixels",
        description="what reads the features: pixels (a small network on the features of several stages, pixel by "
        "pixel) or plain (Zhou et al.: one linear layer without bias on the last map)",
    )
    hidden: int = Field(64, ge=1, le=1024, description="width of the head called pixels")
    pooling: Literal["top", "mean"] = Field(
        "top",
        description="a tile's score: mean of its map (Zhou et al.), or top: mean of the strongest share of it, so that "
        "scenery that goes with landslides cannot stand for them",
    )
    top_share: float = Field(0.05, gt=0, le=1, description="share of the map that pooling top averages")
    frozen_stages: int = Field(
        5, ge=0, le=5, description="first stages of the backbone that are not trained; 5: all of them"
    )
    recipe: Literal["stable", "as_written", "as_released"] = Field(
        "stable",
        description="values of the optimizer: stable, as_written (the paper) or as_released (its code); the five keys "
        "below replace single ones",
    )
    learning_rate: float | None = Field(None, gt=0, le=10, description="of the backbone; null: the recipe's")
    head_factor: float | None = Field(
        None, gt=0, le=100, description="the head learns this much faster; null: the recipe's"
    )
    momentum: float | None = Field(None, ge=0, lt=1, description="of SGD; null: the recipe's")
    weight_decay: float | None = Field(None, ge=0, lt=1, description="of SGD; null: the recipe's")
    decay: Literal["steps", "poly"] | None = Field(
        None, description="of the learning rate: steps at the milestones, poly to nothing; null: the recipe's"
    )
    milestones: tuple[Share, ...] = Field((0.6, 0.9), description="shares of the training where the rate drops")
    decay_factor: float = Field(0.1, gt=0, le=1, description="what the rate is multiplied with at a milestone")
    warmup_steps: int = Field(20, ge=0, description="steps over which the rate rises to its value")
    gradient_clip: float = Field(5.0, ge=0, description="longest gradient over all weights; 0: no limit")
    epochs: Epochs = Field(
        "auto",
        description=f"passes over the training tiles; auto: {AUTO_EPOCHS}, more where these are fewer than "
        f"{LOCALIZER_STEPS} steps",
    )
    batch_size: int = Field(16, ge=2, le=1024, description="tiles a step")
    balanced: bool = Field(
        True,
        description="as many positive as negative tiles a batch; an epoch is twice the rarer label's tiles",
    )
    augmentation: AugmentationSettings = Field(
        default_factory=AugmentationSettings, description="random changes of the training tiles"
    )
    memory_mb: int = Field(2000, ge=0, description="training tiles are held in memory up to this size")
    sipe: SipeSettings = Field(default_factory=SipeSettings, description="of methods sipe and lgag_proxy")
    cda: CdaSettings = Field(default_factory=CdaSettings, description="of method cda")
    cpn: CpnSettings = Field(default_factory=CpnSettings, description="of method cpn")
    oc_cse: OcCseSettings = Field(default_factory=OcCseSettings, description="of method oc_cse")
    flipcam: FlipCamSettings = Field(default_factory=FlipCamSettings, description="of method flipcam")
    s2c: S2cSettings = Field(default_factory=S2cSettings, description="of method s2c")
    lgag: LgagSettings = Field(default_factory=LgagSettings, description="of method lgag_proxy")

    def optimizer(self) -> Optimizer:
        """The recipe's values, replaced by those that are given."""
        given = {
            name: value
            for name in ("learning_rate", "head_factor", "momentum", "weight_decay", "decay")
            if (value := getattr(self, name)) is not None
        }
        return RECIPES[self.recipe]._replace(**given)


class CamSettings(BaseModel):
    """How class activation maps are made from a trained localizer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: tuple[Annotated[float, Field(ge=0.25, le=4)], ...] = Field(
        (1.0,),
        min_length=1,
        description="sizes of the network's input, times the tile's size; maps are summed",
    )
    flips: Literal["none", "horizontal", "dihedral"] = Field(
        "dihedral", description="views a scale: none (1), horizontal (2) or dihedral (8: flips and quarter turns)"
    )
    views_sum: Literal["evidence", "as_released"] = Field(
        "evidence",
        description="evidence: negative values of every view are cut before views are summed; as_released: the views "
        "of a scale are summed first, and every scale is divided by its maximum, as the paper's code does",
    )
    normalise: Literal["max", "as_released"] = Field(
        "max",
        description="max: divide by the tile's maximum; as_released: stretch minimum to maximum over "
        "0..255, as the paper's code does when it writes a PNG",
    )
    gamma: float = Field(
        0.5,
        gt=0,
        le=4,
        description="power of the scaled map, which moves grey values but not their order: with 0.5 the paper's "
        "threshold of 120 cuts at 22 % of the maximum; 1 leaves the map as it is (the paper)",
    )
    refine: Literal["none", "prototype"] = Field(
        "none",
        description="none, or prototype: multiply by the likeness to the tile's own landslide and background pixels",
    )
    context: int = Field(
        0,
        ge=0,
        le=512,
        multiple_of=16,
        description="pixels of the scene around a tile that the localizer sees too, mirrored where the scene ends; 0: "
        "the tile alone (the paper), whose map is then high in the middle of every tile",
    )
    batch_size: int = Field(16, ge=1, le=1024, description="tiles at a time")
