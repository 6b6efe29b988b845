"""The notebooks of examples/: they run on any run, and their outputs are small."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_project import ROOT, Project

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebooks_run(notebook: Path, finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra docs)")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (extra docs)")
    nbformat = pytest.importorskip("nbformat")
    for name, value in finished.environment(
        APSAM_RUN=str(finished.folder / "results/small"), APSAM_OUT=str(tmp_path)
    ).items():
        monkeypatch.setitem(os.environ, name, value)
    nbclient.NotebookClient(nbformat.read(notebook, as_version=4), timeout=300).execute(cwd=str(tmp_path))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebooks_have_their_outputs_and_are_small(notebook: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra docs)")
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count == number for number, cell in enumerate(cells, 1)), "run: make examples"
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert notebook.stat().st_size < 300_000
