"""OC-CSE ("CSE"): an ordinary classifier must miss the landslide, and nothing else, when the CAM is erased.

H. Kweon et al., Unlocking the Potential of Ordinary Classifier: Class-Specific Adversarial Erasing
Framework for Weakly Supervised Semantic Segmentation, ICCV 2021.

One step: the CAM of the network in training, divided by the maximum of the batch, is erased from the tile (where
it is 1 the mean colour remains); a frozen classifier sees the remaining tile and must miss the erased class
but still detect the remaining ones. The gradient reaches the CAM through the classifier's input. The loss's
weight rises linearly from 0.3 to 1.

Binary version. With one class no class remains, and the best CAM would erase the whole tile. The ordinary
classifier therefore has a second output, "visible ground", and the remaining label of a positive tile is:
no landslide, but ground. All tiles show ground, so it is trained on negative tiles out of
which random parts were erased (`ordinary_classifier.py`); as a side effect it is trained on the
appearance of erased regions. Only positive tiles are erased, and the maximum is that of the positive tiles. The
classifier starts from ImageNet weights like the network itself, and is trained on the image-level labels only.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from apsam.localizer.checkpoint import load_method
from apsam.localizer.methods.base import CPU, Batch, Method
from apsam.localizer.methods.cam_operations import EPSILON, no_loss, resize
from apsam.localizer.methods.ordinary_classifier import CLASSIFIER_KIND, OrdinaryClassifier, erase

REMAIN = (0.0, 1.0)  # no landslide, but ground


class OcCse(Method):
    """Class-specific erasing.

    Attributes:
        classifier: The frozen ordinary classifier, after `use_offline`; not part of the weights.
    """

    classifier: OrdinaryClassifier

    def use_offline(self, path: Path, tiles: int, device: torch.device = CPU) -> None:
        """Read the ordinary classifier."""
        self.set_classifier(load_method(path, CLASSIFIER_KIND, OrdinaryClassifier))

    def set_classifier(self, classifier: OrdinaryClassifier) -> None:
        """Freeze a classifier for erasing. It is not registered as a module, so it is not saved."""
        classifier.eval().requires_grad_(False)
        object.__setattr__(self, "classifier", classifier)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Compute losses `classification` and `erasing`."""
        maps = self.localizer(batch["image"])
        positive = batch["label"] > 0
        erasing = self.erasing(batch["image"][positive], maps[positive]) if positive.any() else no_loss(maps)
        return {"classification": self.classification(maps, batch["label"]), "erasing": self.weight() * erasing}

    def erasing(self, images: Tensor, maps: Tensor) -> Tensor:
        """Compute the classifier's loss on positive tiles with erased maps.

        Args:
            images: (B, 3, H, W) in 0..255.
            maps: Logit maps (B, 1, h, w) of the same tiles.
        """
        mask = resize(functional.relu(maps), images.shape[-2:])
        mask = mask / (mask.max().detach() + EPSILON)
        self.classifier.to(images.device)
        logits = self.classifier.scores(erase(images, mask, self.classifier.localizer.backbone))
        remain = torch.tensor(REMAIN, device=images.device).expand(len(images), -1)
        return functional.binary_cross_entropy_with_logits(logits, remain)

    def weight(self) -> float:
        """Current weight of the erasing loss."""
        first, last = self.settings.oc_cse.weight
        return first + (last - first) * self.share

    def cam(self, images: Tensor) -> Tensor:
        """Return the logit map."""
        return self.localizer(images)
