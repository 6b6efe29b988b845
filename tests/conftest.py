"""Fixtures and markers of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Test processes in parallel (`pytest -n 2`) use one core each; jobs of workflows set their own number.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real landslide data (`APSAM_DATA`, by default `../shared/data`); without it the test is skipped."""
    folder = Path(os.environ.get("APSAM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set APSAM_DATA to a folder with bijie/ and jinsha/")
    return folder


@pytest.fixture
def one_thread() -> None:
    """PyTorch computes on one thread, so that results do not depend on the machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def report_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list, dict]:
    """An artificial run for the report: its folder, its scenes, its configuration."""
    from fake_run import make_fake_run

    folder = tmp_path_factory.mktemp("results") / "tiny"
    scenes, config = make_fake_run(folder)
    return folder, scenes, config.model_dump(mode="json")


@pytest.fixture(scope="session")
def report_page(report_run: tuple[Path, list, dict]) -> Path:
    """The report of the artificial run."""
    from fake_run import RECIPES

    from apsam.report.page import make_report
    from apsam.report.settings import ReportSettings

    folder, scenes, config = report_run
    output = folder / "report/index.html"
    make_report(folder, scenes, config, output, ReportSettings(map_side=200, gallery_tiles=9), recipes=RECIPES)
    return output
