"""The localization methods, by the name that `localizer.method` has in the configuration."""

from __future__ import annotations

from apsam.localizer.methods.base import Batch, Method
from apsam.localizer.methods.cam import PlainCam
from apsam.localizer.settings import LocalizerSettings

__all__ = ["METHODS", "Batch", "Method", "PlainCam", "build_method"]

METHODS: dict[str, type[Method]] = {"cam": PlainCam}


def build_method(settings: LocalizerSettings, weights: str | None = None) -> Method:
    """The method that the settings name, with new weights.

    Args:
        settings: The section `localizer`.
        weights: The backbone's starting weights; None: those the settings name.
    """
    return METHODS[settings.method](settings, weights)
