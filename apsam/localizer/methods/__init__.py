"""The localization methods, by the name that `localizer.method` has in the configuration.

Each is a module of its name, imported on request: the dependencies of one method (such as SAM) do not affect
the others, neither in memory nor in the jobs that run again after a change (`apsam.localizer.method_code`).
"""

from __future__ import annotations

from importlib import import_module

from apsam.localizer.methods.base import Batch, Method
from apsam.localizer.settings import LocalizerSettings

__all__ = ["CLASSES", "Batch", "Method", "build_method", "method_class"]

CLASSES = {
    "cam": "PlainCam",
    "sipe": "Sipe",
    "cda": "Cda",
    "cpn": "Cpn",
    "oc_cse": "OcCse",
    "flipcam": "FlipCam",
    "s2c": "S2c",
    "lgag_proxy": "LgagProxy",
}


def method_class(name: str) -> type[Method]:
    """Return the class of a method."""
    return getattr(import_module(f"{__name__}.{name}"), CLASSES[name])


def build_method(settings: LocalizerSettings, weights: str | None = None) -> Method:
    """Build the method named in the settings, with new weights.

    Args:
        settings: The section `localizer`.
        weights: The backbone's initial weights; None: those named in the settings.
    """
    return method_class(settings.method)(settings, weights)
