"""Hashes of the code of single methods, which are imported by name, so that the code hash does not see them."""

from __future__ import annotations

from apsam.code_hash import PACKAGE_ROOT, code_hash
from apsam.localizer.method_settings import OFFLINE_FILES


def method_code(name: str) -> str:
    """Hash of a method's own module and of all it uses."""
    return code_hash(PACKAGE_ROOT / "localizer" / "methods" / f"{name}.py")


def offline_code(name: str) -> str:
    """Hash of a method's offline stage and of all it uses; empty where it has none."""
    return code_hash(PACKAGE_ROOT / "localizer" / "offline" / f"{name}.py") if name in OFFLINE_FILES else ""
