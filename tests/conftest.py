"""Fixtures and markers of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real landslide data (`APSAM_DATA`, by default `../shared/data`); without it the test is skipped."""
    folder = Path(os.environ.get("APSAM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set APSAM_DATA to a folder with bijie/ and jinsha/")
    return folder
