"""`sam.window` through the rules: jobs that run again, the image as input of the encoder, refused ready-made tiles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from small_project import Project, copy_project

from apsam.stack import TileStack


@pytest.mark.slow
def test_windows_instead_of_tiles(project: Project) -> None:
    project.configure("sam", window=512)
    target = "results/small/masks/apsam/west.zarr.zip"
    assert project.plan("--", target) == {"encode": 1, "masks_apsam": 1}
    project.snakemake("--", target)
    project.snakemake("--", "results/small/embeddings/west.zarr.zip")
    with TileStack(project.folder / "results/small/embeddings/west.zarr.zip") as stack:
        assert len(stack) == 1 and stack.attributes["window_size"] == [512, 512]
    assert project.plan("--", target) == {}


def test_ready_made_tiles_are_refused_before_anything_runs(tmp_path) -> None:
    project = copy_project(tmp_path / "project")
    (project.folder / "tiles").mkdir()
    (project.folder / "labels.csv").write_text("tile,label\na.png,1\n")
    cv2.imwrite(str(project.folder / "tiles/a.png"), np.zeros((8, 8, 3), np.uint8))
    sheet = project.folder / "config" / "small_scenes.tsv"
    sheet.write_text(sheet.read_text() + "crops\t../tiles\t../labels.csv\t\ttest\n")
    project.configure("sam", window=512)
    printed = project.snakemake("--dry-run", check=False)
    assert "sam.window: 'crops' is a folder of ready-made tiles" in printed


@pytest.mark.slow
def test_embeddings_are_deleted_on_request_and_made_again_where_needed(project: Project) -> None:
    (file,) = (project.folder / "results/store/embeddings").glob("west.*/west.zarr.zip")
    project.replace("config.yaml", "keep_embeddings: true", "keep_embeddings: false")
    assert project.plan() == {} and file.is_file(), "keeping them or not changes no result"
    target = "results/small/masks/apsam/west.zarr.zip"
    project.configure("masks", prompts="boxes")
    assert project.plan("--", target) == {"masks_apsam": 1}
    project.snakemake("--", target)
    assert not file.exists() and project.plan("--", target) == {}
    project.configure("masks", prompts="points")
    assert project.plan("--", target) == {"encode": 1, "masks_apsam": 1}
