"""Hashes of the code of single methods. They are imported by name, so the code hash does not include them."""

from __future__ import annotations

from apsam.code_hash import PACKAGE_ROOT, code_hash
from apsam.localizer.method_settings import OFFLINE_FILES


def method_code(name: str) -> str:
    """Hash a method's module and all code it uses."""
    return code_hash(PACKAGE_ROOT / "localizer" / "methods" / f"{name}.py")


def offline_code(name: str) -> str:
    """Hash a method's offline stage and all code it uses; empty if it has none."""
    return code_hash(PACKAGE_ROOT / "localizer" / "offline" / f"{name}.py") if name in OFFLINE_FILES else ""
