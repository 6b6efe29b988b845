"""Users' own scenes in the workflow: folders of any name, and changed files of the same size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from own_scenes import write_tiles
from small_project import Project, copy_project

# What a shell could take for something else, and Snakemake for a wildcard.
AWKWARD = 'Émile\'s 数据 $x `y` "z" {a} \\'
SHEET = "scene\timage\tlabels\tmask\tsplit"


@pytest.fixture
def own(tmp_path: Path) -> Project:
    """The small project over two folders of ready-made tiles whose masks are uncompressed, in a folder of odd name."""
    project = copy_project(tmp_path / "project")
    for part, count in (("train", 4), ("test", 2)):
        write_tiles(tmp_path / AWKWARD / part, count, np.random.default_rng(count), ".tif")
    rows = [f"{part}\t{part}/images\t{part}/labels.csv\t{part}/masks\t{part}" for part in ("train", "test")]
    (project.folder / "config/own.tsv").write_text("\n".join([SHEET, *rows]) + "\n")
    project.replace("config.yaml", "scenes: config/small_scenes.tsv", "scenes: config/own.tsv")
    project.replace("config.yaml", "data_dir: null", f"data_dir: {json.dumps(str(tmp_path / AWKWARD))}")
    return project


@pytest.mark.slow
def test_jobs_find_their_files_in_a_folder_of_any_name_and_see_a_changed_mask(own: Project, tmp_path: Path) -> None:
    targets = ["--", "results/small/masks/truth/train.zarr.zip", "results/small/masks/box/test.zarr.zip"]
    own.snakemake(*targets)
    assert own.plan(*targets) == {}
    mask = tmp_path / AWKWARD / "train/masks/3.tif"
    mask.write_bytes(mask.read_bytes().replace(b"\xff", b"\x00", 1))
    assert own.plan(*targets) == {"masks_truth": 1}, "of the same size; labels are from a table"
