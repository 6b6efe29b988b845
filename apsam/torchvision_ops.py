"""Make PyPI's torchvision importable next to a CPU build of torch.

The wheel of torchvision on PyPI is compiled against CUDA. Beside a CPU torch its extension cannot be
loaded, the operators `torchvision::nms` and `torchvision::qnms` do not exist, and torchvision's own
Python registers meta kernels for them while it is imported, which ends in
``RuntimeError: operator torchvision::nms does not exist``. Declaring the two schemas beforehand is enough
for the import to succeed; the operators stay without a kernel, and `apsam` never calls them.

Import this module before anything that imports torchvision (`timm`, `segment_anything`)::

    from apsam import torchvision_ops  # noqa: F401  (before timm)
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_fragment: torch.library.Library | None = None  # the schemas live as long as this object does


def extension_loads() -> bool:
    """Whether torchvision's compiled operators can be loaded beside this torch."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    folder = Path(spec.origin).parent
    for library in sorted([*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return True
    return False


def declare_missing_operators() -> list[str]:
    """Declare the operator schemas torchvision's import needs and its extension does not bring.

    Returns:
        The names declared: empty where torchvision is whole, absent, already imported, or already guarded.
    """
    global _fragment
    if _fragment is not None or "torchvision" in sys.modules:
        return []
    if importlib.util.find_spec("torchvision") is None or extension_loads():
        return []
    missing = [name for name in SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        _fragment = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            _fragment.define(SCHEMAS[name])
    return missing


declare_missing_operators()
