"""Variants of a run: their names, what they share, and what real Snakemake runs for one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from small_project import Project

from apsam.config import Config
from apsam.errors import ConfigError
from apsam.experiments.released import all_overrides
from workflow_support.variants import STAGES, Variants, reads, stage_of

SIPE_SEED = {"seed": 2, "cams.gamma": 1.0}


@pytest.fixture
def variants() -> Variants:
    return Variants(Config())


def test_a_variant_is_named_by_what_it_changes(variants: Variants) -> None:
    assert variants.add(SIPE_SEED) == "variants/cams.gamma=1.0+seed=2/"
    assert variants.add({"seed": 1, "prompts.threshold": 120}) == "", "these are the run's own values"
    assert variants.config("variants/cams.gamma=1.0+seed=2/").cams.gamma == 1


def test_values_that_are_no_name_become_a_hash(variants: Variants) -> None:
    one, other = (variants.add({"sam.checkpoint": path}) for path in ("/a/b.pth", "/a/c.pth"))
    assert one != other and "/a/" not in one
    assert variants.config(one).sam.checkpoint == Path("/a/b.pth")


def test_a_name_fits_into_a_folder(variants: Variants) -> None:
    """All choices of the released code at once change thirty keys."""
    folder = variants.add(all_overrides())
    assert max(len(part) for name in variants for part in name.split("/")) <= 255
    assert variants.place("prompts", folder) != variants.place("masks/apsam", folder)
    assert variants.config(variants.place("cams", folder)).cams.views_sum == "as_released"


def test_a_stage_shares_what_its_variant_leaves_alone(variants: Variants) -> None:
    folder = variants.add(SIPE_SEED)
    places = {stage: variants.place(stage, folder) for stage in STAGES}
    assert places["tiles"] == places["embeddings"] == ""
    assert places["localizer"] == "variants/seed=2/"
    assert places["cams"] == places["masks/apsam"] == folder
    larger = variants.add({**SIPE_SEED, "sam.name": "vit_b"})
    assert variants.place("prompts", larger) == folder, "prompts are those of the smaller variant"
    assert variants.place("embeddings", larger) == "variants/sam.name=vit_b/"
    assert variants.config("variants/sam.name=vit_b/").seed == 1


def test_every_stage_reads_what_the_stages_before_it_read() -> None:
    for stage, (_, after) in STAGES.items():
        assert all(reads(earlier) <= reads(stage) for earlier in after)
    order = list(STAGES)
    assert all(order.index(earlier) < order.index(stage) for stage in order for earlier in STAGES[stage].after)
    chain = ("tiles", "localizer", "cams", "prompts", "masks/apsam", "resunet/apsam", "maps/apsam")
    assert all(reads(one) < reads(other) for one, other in pairwise(chain[:-1]))


def test_the_stage_of_a_file() -> None:
    assert stage_of("cams/valley.zarr.zip") == "cams"
    assert stage_of("masks/cam/valley.zarr.zip") == "masks/cam"
    assert stage_of("metrics/resunet.json") == "metrics/resunet.json"
    with pytest.raises(KeyError):
        stage_of("elsewhere/valley.tif")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [({"sam.nam": "vit_b"}, "sam.nam"), ({"prompts.threshold": 300}, "threshold"), ({"sede": 2}, "sede")],
)
def test_wrong_overrides_are_told(variants: Variants, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        variants.add(overrides)


def test_unknown_folders_are_told(variants: Variants) -> None:
    with pytest.raises(ConfigError, match="no variant of this run"):
        variants.config("variants/seed=7/")


@pytest.mark.slow
def test_snakemake_runs_only_what_a_variant_changes(project: Project) -> None:
    project.replace(
        "Snakefile", "# Targets: the default", 'run.variants.add({"masks.prompts": "boxes"})\n\n\n# Targets:'
    )
    target = "results/small/variants/masks.prompts=boxes/metrics/pseudo_masks.json"
    assert project.plan("--", target) == {"masks_apsam": 3, "metrics_masks": 1}
    project.snakemake("--", target)
    assert (project.folder / target).is_file()
    assert project.plan("--", target) == {} and project.plan() == {}
    project.configure("masks", cam_mask=True)
    assert project.plan("--", target) == {"masks_apsam": 3, "metrics_masks": 1}, "a variant follows the run's settings"
