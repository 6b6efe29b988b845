"""Weakly supervised landslide extraction: image-level labels in, landslide boundaries out.

The method is that of "Auto-Prompting SAM for Weakly Supervised Landslide Extraction" (APSAM): class activation maps of
a localizer become point and box prompts for the Segment Anything Model (SAM), whose pseudo-masks train a ResUNet.

`__all__` is the public interface; its names are imported on first use. All other modules may change.

    import apsam

    model = apsam.load("results/demo")
    cam = model.cam(image)
    prompts = apsam.generate_prompts(cam, threshold=120)
    mask = model.segment(image, prompts, cam=cam)
    result = model.predict("scene.tif", "out/")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apsam.api.load import load
    from apsam.api.metrics import evaluate
    from apsam.api.model import Model
    from apsam.api.prediction import Prediction
    from apsam.api.tiling import blend_tiles, cut_tiles
    from apsam.api.training import train_localizer, train_resunet
    from apsam.config import Config
    from apsam.errors import ApsamError
    from apsam.metrics.counts import Counts
    from apsam.prompts.generate import Prompt, generate_prompts
    from apsam.prompts.settings import PromptSettings

__version__ = "0.1.0"

__all__ = [
    "ApsamError",
    "Config",
    "Counts",
    "Model",
    "Prediction",
    "Prompt",
    "PromptSettings",
    "__version__",
    "blend_tiles",
    "cut_tiles",
    "evaluate",
    "generate_prompts",
    "load",
    "train_localizer",
    "train_resunet",
]

# Modules of this package with the public names that each defines.
_MODULES = {
    "api.load": ("load",),
    "api.metrics": ("evaluate",),
    "api.model": ("Model",),
    "api.prediction": ("Prediction",),
    "api.tiling": ("blend_tiles", "cut_tiles"),
    "api.training": ("train_localizer", "train_resunet"),
    "config": ("Config",),
    "errors": ("ApsamError",),
    "metrics.counts": ("Counts",),
    "prompts.settings": ("PromptSettings",),
    "prompts.generate": ("Prompt", "generate_prompts"),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562), so that `import apsam` loads no heavy library."""
    from importlib import import_module

    for module, names in _MODULES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return sorted(__all__)
