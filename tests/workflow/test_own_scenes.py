"""Scenes of one's own in the workflow: folders of any name, and changed files that no rule has as an input."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from own_scenes import write_tiles
from small_project import ROOT, Project, copy_project

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


def test_every_file_that_decides_changes_a_parameter(tmp_path: Path) -> None:
    write_tiles(tmp_path / "crops", 2, np.random.default_rng(0), ".tif")
    for file in ("part.tif", "grid.shp", "grid.dbf", "grid.shx"):
        (tmp_path / file).write_text("before")
    (tmp_path / "valley.vrt").write_text(
        '<VRTDataset><SourceFilename relativeToVRT="1">part.tif</SourceFilename></VRTDataset>'
    )
    rows = ["crops\tcrops/images\tcrops/labels.csv\tcrops/masks\ttrain", "valley\tvalley.vrt\tgrid.shp\t\ttest"]

    def parameters() -> dict[str, str]:
        run = configured(tmp_path / "scenes.tsv", *rows, resunet={"keep": "best_on_labels"})
        return {
            "tile crops": run.listing("crops"),
            "tile valley": run.listing("valley"),
            "predict": run.image_listing("valley"),
            "predict_tiles": run.image_listing("crops"),
            "metrics": run.sheet(run.measured),
            "trials of others": run.sheet(["valley"]),
            "inventory": run.given_listing(),
        }

    def changed_by(name: str, old: bytes, new: bytes) -> set[str]:
        before, file = parameters(), tmp_path / name
        content = file.read_bytes()
        assert old in content
        file.write_bytes(content.replace(old, new, 1))
        assert file.stat().st_size == len(content), "of the same size"
        after = parameters()
        return {name for name in before if before[name] != after[name]}

    assert changed_by("crops/masks/1.tif", b"\xff", b"\x00") == {"metrics", "inventory"}
    assert changed_by("crops/images/1.tif", b"\x01", b"\x02") == {"tile crops", "predict_tiles", "inventory"}
    assert changed_by("grid.dbf", b"before", b"beyond") == {"tile valley", "inventory"}
    assert changed_by("part.tif", b"before", b"beyond") == {"tile valley", "predict", "inventory"}


def test_a_parameter_that_says_nothing_of_files_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "valley.tif").write_text("")
    run = configured(tmp_path / "scenes.tsv", "valley\tvalley.tif\tl.csv\tvalley.tif\ttrain")
    assert run.listing("valley") == run.image_listing("valley") == run.given_listing() == ""
    assert run.sheet(["valley"]) == run.sheet()


def test_a_training_that_looks_at_truth_has_every_mask_as_an_input(tmp_path: Path) -> None:
    write_tiles(tmp_path / "crops", 2, np.random.default_rng(0))
    row = "crops\tcrops/images\tcrops/labels.csv\tcrops/masks\ttrain"
    run = configured(tmp_path / "scenes.tsv", row, resunet={"keep": "best_on_labels"})
    assert run.training_truth() == [str(tmp_path / f"crops/masks/{number}.png") for number in range(2)]
    assert configured(tmp_path / "scenes.tsv", row).training_truth() == []


def test_every_rule_that_reads_truth_says_what_is_in_folders_of_it() -> None:
    readers = 0
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for name, text in re.findall(r"^rule (\w+):\n((?:(?:    .*)?\n)+)", file.read_text(), re.MULTILINE):
            if re.search(r"\brun\.truth\b|shown_tiles", text):
                readers += 1
                assert re.search(r"\bsheet=(sheet\(|lambda wildcards: run\.sheet\()", text), f"{file.name}: {name}"
            elif "params.scenes" in text or "run.truth_arguments" in text:
                assert name in ("inventory", "resunet"), f"{file.name}: {name} reads the sheet, but no truth?"
    assert readers >= 10


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
    targets = ["--", "results/small/masks/truth/train.zarr.zip", "results/small/scenes/inventory.json"]
    own.snakemake(*targets)
    assert own.plan(*targets) == {}
    mask = tmp_path / AWKWARD / "train/masks/3.tif"
    mask.write_bytes(mask.read_bytes().replace(b"\xff", b"\x00", 1))
    assert own.plan(*targets) == {"masks_truth": 1, "inventory": 1}, "of the same size; labels are from a table"
