"""Make PyPI's torchvision importable next to a CPU build of torch.

The wheels of torchvision on PyPI are compiled against CUDA. With a CPU torch the extension cannot be loaded, so
operators such as `torchvision::nms` do not exist; but torchvision's Python registers meta kernels for some of
them while it is imported, which ends in ``RuntimeError: operator torchvision::nms does not exist``. Declaring them
before is enough for the import to succeed; they have no kernel, and `apsam` never calls them. The operators that the
installed torchvision registers are read from its source, so this works for any pair of versions.

Import this module before anything that imports torchvision (`timm`, `segment_anything`)::

    from apsam import torchvision_ops  # noqa: F401  (before timm)
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import torch

NAMESPACE = "torchvision"
# Decorators that register a meta kernel for an existing operator: the current name, and that of torch 2.3 and before.
REGISTERING = ("register_fake", "impl_abstract")
_fragment: torch.library.Library | None = None  # the operators exist as long as this object does


def torchvision_folder() -> Path | None:
    """Find torchvision without importing it; None if it is not installed."""
    spec = importlib.util.find_spec(NAMESPACE)
    return Path(spec.origin).parent if spec and spec.origin else None


def extension_loads() -> bool:
    """Whether torchvision's compiled operators can be loaded with this torch."""
    folder = torchvision_folder()
    if folder is None:
        return False
    for library in sorted([*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return True
    return False


def registered_operators(source: str) -> dict[str, int]:
    """Return the operators for which a module registers meta kernels: name -> number of arguments.

    Args:
        source: Python code, for instance torchvision's `_meta_registrations.py`.
    """
    found = {}
    for node in ast.walk(ast.parse(source)):
        for decorator in getattr(node, "decorator_list", []):
            match decorator:
                case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=str(operator)), *_]):
                    if (
                        isinstance(node, ast.FunctionDef)
                        and name in REGISTERING
                        and operator.startswith(f"{NAMESPACE}::")
                    ):
                        found[operator.removeprefix(f"{NAMESPACE}::")] = len(node.args.args)
    return found


def declare_missing_operators() -> list[str]:
    """Declare the operators that torchvision's import needs and its extension does not define.

    Returns:
        The names declared: empty if torchvision works, is absent, already imported, or already guarded.
    """
    global _fragment
    if _fragment is not None or NAMESPACE in sys.modules or extension_loads():
        return []
    folder = torchvision_folder()
    if folder is None:
        return []
    source = folder / "_meta_registrations.py"
    operators = registered_operators(source.read_text(encoding="utf-8")) if source.is_file() else {}
    missing = [name for name in operators if not hasattr(torch.ops.torchvision, name)]
    if missing:
        _fragment = torch.library.Library(NAMESPACE, "FRAGMENT")
        for name in missing:
            arguments = ", ".join(f"Tensor a{index}" for index in range(operators[name]))
            _fragment.define(f"{name}({arguments}) -> Tensor")
    return missing


declare_missing_operators()
