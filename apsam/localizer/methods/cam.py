"""Plain class activation mapping: no losses in addition to the image-level label.

B. Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""

from __future__ import annotations

from torch import Tensor

from apsam.localizer.methods.base import Batch, Method


class PlainCam(Method):
    """Binary cross-entropy of the pooled map; with a plain head and mean pooling, this is Zhou et al.'s CAM."""

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One loss, `classification`."""
        return {"classification": self.classification(self.localizer(batch["image"]), batch["label"])}

    def cam(self, images: Tensor) -> Tensor:
        """Return the logit map."""
        return self.localizer(images)
