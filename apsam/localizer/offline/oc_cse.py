"""OC-CSE's ordinary classifier: trained like a localizer, then frozen."""

from __future__ import annotations

from pathlib import Path

from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.method_code import offline_code
from apsam.localizer.methods.ordinary_classifier import CLASSIFIER_KIND, OrdinaryClassifier
from apsam.localizer.offline.inputs import OfflineInputs
from apsam.localizer.train import checkpoint_of, fit


def make(inputs: OfflineInputs, output: Path) -> None:
    """Train on image-level labels and write the weights, `.safetensors`. A training that was stopped is resumed.

    Args:
        inputs: Training tiles and settings; `oc_cse.epochs` overrides the epochs if it is set.
        output: Weights to make.
    """
    settings = inputs.settings
    classifier = OrdinaryClassifier(settings.model_copy(update={"epochs": settings.oc_cse.epochs or settings.epochs}))
    checkpoint = checkpoint_of(output, inputs.tiles, settings, inputs.seed, [offline_code("oc_cse")])
    if fit(classifier, inputs.tiles, inputs.seed, inputs.device, checkpoint).global_rank == 0:
        save_localizer(classifier.eval(), output, CLASSIFIER_KIND)
        checkpoint.remove()
