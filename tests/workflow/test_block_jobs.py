"""Large scenes in the workflow: which jobs there are, and that starting it stays cheap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_project import Project, copy_project
from workflow_support.code_hashes import CodeHashes
from workflow_support.raster_sizes import RasterSizes

SCENES, HELD_OUT, TRAINED = 3, 1, 2
PER_UNIT = ("tile", "cams", "encode", "prompts", "masks_apsam", "masks_cam", "masks_grabcut")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project, nothing made yet."""
    return copy_project(tmp_path_factory.mktemp("blocks") / "project")


@pytest.mark.slow
def test_a_job_a_block_and_one_that_joins_them(fresh: Project) -> None:
    """A scene of 512 px has 9 candidate tiles, and 9 windows in 3 rows for its map."""
    plan = fresh.plan()
    assert {plan[rule] for rule in PER_UNIT} == {SCENES}
    assert not {"join_stacks", "join_prompts", "predict_block", "predict_join"} & set(plan)
    fresh.configure("tiles", block_tiles=4)
    blocks = fresh.plan()
    assert {blocks[rule] for rule in PER_UNIT} == {3 * SCENES}, "9 tiles, 4 at most: 3 blocks of 3"
    assert blocks["join_prompts"] == SCENES and blocks["synthesize"] == SCENES
    assert blocks["predict_block"] == 3 * HELD_OUT * TRAINED and blocks["predict_join"] == HELD_OUT * TRAINED
    assert "predict" not in blocks
    once = ("localizer", "resunet", "metrics_masks", "metrics_maps", "report", "products")
    assert all(blocks[rule] == plan[rule] for rule in once)


@pytest.mark.slow
def test_starting_the_workflow_imports_nothing_heavy(fresh: Project) -> None:
    file = fresh.folder / "Snakefile"
    text = file.read_text()
    file.write_text(f"{text}\nprint('IMPORTED', *sys.modules, file=sys.stderr)\n")
    printed = fresh.snakemake("--dry-run", "--quiet", "all", "--", "all_scenes")
    file.write_text(text)
    imported = set(next(line for line in printed.splitlines() if line.startswith("IMPORTED")).split())
    assert "apsam.config" in imported
    heavy = {"torch", "torchvision", "lightning", "cv2", "rasterio", "geopandas", "zarr", "scipy", "matplotlib"}
    assert not heavy & imported


def test_code_hashes_are_remembered_until_a_file_changes(tmp_path: Path) -> None:
    package, memory = tmp_path / "package", tmp_path / "memory.json"
    package.mkdir()
    (package / "a.py").write_text("x = 1\n")
    hashes = CodeHashes(package, memory)
    assert hashes.get("a", lambda: "first") == "first"
    hashes.save()
    assert CodeHashes(package, memory).get("a", lambda: "second") == "first"
    (package / "a.py").write_text("x = 12\n")
    assert CodeHashes(package, memory).get("a", lambda: "second") == "second"


def test_sizes_are_remembered_until_a_file_changes(tmp_path: Path) -> None:
    raster, memory = tmp_path / "scene.tif", tmp_path / "memory.json"
    sizes = RasterSizes(memory)
    assert sizes.of(raster) == (1, 1), "a missing file is no large one; other checks speak of it"
    raster.write_bytes(b"no raster")
    assert sizes.of(raster) == (1, 1)
    sizes.save()
    kept = json.loads(memory.read_text())
    memory.write_text(json.dumps({path: [*entry[:-2], 300, 200] for path, entry in kept.items()}))
    assert RasterSizes(memory).of(raster) == (300, 200), "as it was written down"
    raster.write_bytes(b"another file")
    assert RasterSizes(memory).of(raster) == (1, 1)
