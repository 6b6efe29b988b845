"""The guard that lets torchvision be imported next to a CPU build of torch."""

import subprocess
import sys

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_torchvision_imports_with_guard():
    result = run("from apsam import torchvision_ops; import torchvision, segment_anything; print('imported')")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "imported"


def test_guard_is_needed_exactly_where_the_extension_does_not_load():
    code = (
        "from apsam import torchvision_ops as t; import sys;"
        "print(t.extension_loads(), t._fragment is None, t.declare_missing_operators())"
    )
    loads, untouched, again = run(code).stdout.split(maxsplit=2)
    assert loads == untouched  # nothing is declared where torchvision is whole
    assert again.strip() == "[]"  # a second call declares nothing


def test_no_operators_are_declared_after_torchvision_import():
    code = (
        "import sys, types; sys.modules['torchvision'] = types.ModuleType('torchvision');"
        "from apsam import torchvision_ops as t; print(t._fragment)"
    )
    assert run(code).stdout.strip() == "None"


def test_complete_torchvision_is_not_changed(monkeypatch: pytest.MonkeyPatch):
    from apsam import torchvision_ops as guard

    monkeypatch.setattr(guard, "_fragment", None)
    monkeypatch.setattr(guard, "extension_loads", lambda: True)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    assert guard.declare_missing_operators() == []
    assert guard._fragment is None


def test_operators_are_read_from_the_source():
    from apsam.torchvision_ops import registered_operators

    source = """
@register_meta("roi_align")
def meta_roi_align(input, rois): ...
@torch.library.register_fake("torchvision::nms")
def meta_nms(dets, scores, iou_threshold): ...
@torch.library.impl_abstract("torchvision::old")
def meta_old(dets): ...
@torch.library.register_fake("other::nms")
def meta_other(dets): ...
"""
    assert registered_operators(source) == {"nms": 3, "old": 1}


def test_the_installed_torchvision_is_read():
    from apsam.torchvision_ops import registered_operators, torchvision_folder

    source = (torchvision_folder() / "_meta_registrations.py").read_text()
    assert "nms" in registered_operators(source)
