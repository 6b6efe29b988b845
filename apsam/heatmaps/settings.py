"""Settings of heat maps from labels, section `heatmaps` of the configuration. Imports no torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from apsam.resunet.settings import ResUNetSettings
from apsam.training.length import AUTO_EPOCHS, HEATMAP_STEPS, Epochs


class HeatMapSettings(BaseModel):
    """Heat maps of networks that learn the label map of the ground, as an alternative to CAMs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    networks: int = Field(
        3, ge=1, le=20, description="networks of different seeds whose logits are averaged; single ones scatter"
    )
    epochs: Epochs = Field(
        "auto",
        description=f"passes over the training tiles; auto: {AUTO_EPOCHS}, more where these are fewer than "
        f"{HEATMAP_STEPS} steps. More teach the networks the borders of tiles",
    )
    present_share: float = Field(
        0.005,
        gt=0,
        lt=1,
        description="calibration: a map has a landslide in a tile where it covers more than this share of it "
        "(0.005: 18 x 18 px of 256 x 256)",
    )
    overlap: float = Field(0.4, ge=0, lt=0.9, description="share of a window that its neighbour predicts too")
    flips: bool = Field(False, description="mean over flipped windows too: 4 times the work")
    grey_per_logit: float = Field(
        40, gt=0, description="grey values of the heat map per unit of log-odds above the calibrated threshold"
    )

    def network(self) -> ResUNetSettings:
        """The network and its training: the demo's, whose pretrained encoder needs few steps, with plain BCE."""
        return ResUNetSettings(preset="demo", loss="bce", epochs=self.epochs)
