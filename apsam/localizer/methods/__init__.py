"""The localization methods, by the name that `localizer.method` has in the configuration.

Each is a module of its name, imported when it is asked for: what one method needs (SAM, say) does not concern
the others, neither in memory nor in what a workflow must run again after a change (`apsam.localizer.method_code`).
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
    """The class of a method."""
    return getattr(import_module(f"{__name__}.{name}"), CLASSES[name])


def build_method(settings: LocalizerSettings, weights: str | None = None) -> Method:
    """The method that the settings name, with new weights.

    Args:
        settings: The section `localizer`.
        weights: The backbone's starting weights; None: those the settings name.
    """
    return method_class(settings.method)(settings, weights)
