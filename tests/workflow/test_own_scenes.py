"""Scenes of one's own in the workflow: folders of any name, and changed files that no rule has as an input."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from own_scenes import write_tiles
from small_project import Project, copy_project

from apsam.config import Config
from apsam.errors import ConfigError
from workflow_support.run import Run
from workflow_support.shell import quoted

# What a shell could take for something else.
AWKWARD = 'Émile\'s 数据 $x `y` "z" \\'
SHEET = "scene\timage\tlabels\tmask\tsplit"


def configured(sheet: Path, *rows: str, **given: object) -> Run:
    """A run over a scene sheet with these rows."""
    sheet.write_text("\n".join([SHEET, *rows]) + "\n")
    return Run({**Config().model_dump(mode="json"), "scenes": str(sheet), **given})


def as_the_shell_reads(arguments: str) -> list[str]:
    """The words that bash makes of the arguments."""
    printed = subprocess.run(["bash", "-uc", f"printf '%s\\n' {arguments}"], capture_output=True, text=True, check=True)
    return printed.stdout.splitlines()


def test_a_word_of_a_command_is_the_value_and_plain_ones_look_as_they_always_did() -> None:
    for value in (AWKWARD, "plain", "with a blank", "", "a'b", "$HOME", "!x", "Ü", "a=b (c)"):
        assert as_the_shell_reads(quoted(value)) == [value]
    assert quoted("../data/a b/c.tif") == '"../data/a b/c.tif"'


def test_paths_reach_the_commands_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / AWKWARD
    write_tiles(folder / "crops", 2, np.random.default_rng(0))
    row = "crops\tcrops/images\tcrops/labels.csv\tcrops/masks\ttrain"
    config = {"data_dir": str(folder), "sam": {"window": 512}}
    run = configured(tmp_path / f"{AWKWARD}.tsv", row, "big\tbig $1.tif\tbig.csv\t\ttrain", **config)
    words = ["--scene", "crops", "--image", f"{folder}/crops/images", "--labels", f"{folder}/crops/labels.csv"]
    assert as_the_shell_reads(run.tile_arguments("crops")) == [*words, "--split", "train"]
    assert as_the_shell_reads(run.sheet_arguments()) == ["--scenes", f"{folder}.tsv", "--data-dir", str(folder)]
    assert as_the_shell_reads(run.window_argument("big")) == ["--image", f"{folder}/big $1.tif"]


def test_braces_are_refused_before_snakemake_takes_them_for_wildcards(tmp_path: Path) -> None:
    write_tiles(tmp_path / "{a}", 2, np.random.default_rng(0))
    run = configured(tmp_path / "scenes.tsv", "crops\t{a}/images\t{a}/labels.csv\t\ttrain")
    with pytest.raises(ConfigError, match=r"images: a path must not hold \{ or \}"):
        run.check_inputs()


@pytest.fixture
def own(tmp_path: Path) -> Project:
    """The small project over two folders of ready-made tiles whose masks are uncompressed, in a folder of odd name."""
    project = copy_project(tmp_path / "project")
    for part, count in (("train", 4), ("test", 2)):
        write_tiles(tmp_path / AWKWARD / part, count, np.random.default_rng(0), ".tif")
    rows = [f"{part}\t{part}/images\t{part}/labels.csv\t{part}/masks\t{part}" for part in ("train", "test")]
    (project.folder / "config/own.tsv").write_text("\n".join([SHEET, *rows]) + "\n")
    project.replace("config.yaml", "scenes: config/small_scenes.tsv", "scenes: config/own.tsv")
    project.replace("config.yaml", "data_dir: null", f"data_dir: {json.dumps(str(tmp_path / AWKWARD))}")
    return project


@pytest.mark.slow
def test_jobs_find_their_files_in_a_folder_of_any_name(own: Project) -> None:
    targets = ["--", "results/small/masks/truth/train.zarr.zip", "results/small/scenes/inventory.json"]
    own.snakemake(*targets)
    assert own.plan(*targets) == {}
