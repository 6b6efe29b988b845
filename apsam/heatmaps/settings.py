"""Settings of heat maps from labels, section `heatmaps` of the configuration. Does not import torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from apsam.resunet.settings import ResUNetSettings
from apsam.training.length import AUTO_EPOCHS, HEATMAP_STEPS, Epochs


class HeatMapSettings(BaseModel):
    """Heat maps of networks trained on the label map of the scene, an alternative to CAMs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    networks: int = Field(
        3,
        ge=1,
        le=20,
        description="Ensemble size: number of networks with different seeds whose logits are averaged. Single "
        "networks vary a lot.",
    )
    epochs: Epochs = Field(
        "auto",
        description=f"Training epochs. auto: {AUTO_EPOCHS}, or as many as give at least {HEATMAP_STEPS} optimizer "
        "steps. More epochs teach the networks the borders of tiles.",
    )
    present_share: float = Field(
        0.005,
        gt=0,
        lt=1,
        description="Calibration: a map predicts a landslide in a tile if it covers more than this share of it "
        "(0.005: 18 x 18 px of 256 x 256).",
    )
    overlap: float = Field(
        0.4, ge=0, lt=0.9, description="Overlap of neighbouring windows at inference, share of the side."
    )
    flips: bool = Field(False, description="Average over flipped windows too (4 times the work).")
    grey_per_logit: float = Field(
        40, gt=0, description="Grey levels of the heat map per unit of log-odds above the calibrated threshold."
    )

    def network(self) -> ResUNetSettings:
        """Return settings of the network and its training: those of the demo (few steps), with plain BCE."""
        return ResUNetSettings(preset="demo", loss="bce", epochs=self.epochs)
