"""Large scenes in the workflow: the files equal those of undivided ones; starting it imports no heavy library."""

from __future__ import annotations

import pytest
from small_project import Project, copy_project


@pytest.mark.slow
def test_a_scene_in_blocks_ends_with_the_same_masks_and_map(project: Project) -> None:
    """A scene of 512 px has 9 candidate tiles, and 9 windows in 3 rows for its map."""
    whole = project.results()
    project.configure("tiles", block_tiles=4)
    plan = project.plan("all_masks")
    assert plan["tile"] == plan["cams"] == plan["encode"] == plan["masks_apsam"] == 9
    project.snakemake("--", "all_prompts", "results/small/maps/cam/west_mask.tif")
    blocks = project.results()
    for name in ("prompts/west.json", "prompts/west.geojson"):
        assert blocks[f"small/{name}"] == whole[f"small/{name}"]
    assert "small/tiles/west.b001.zarr.zip" in blocks and not any("/bands/" in name for name in blocks)


def test_starting_the_workflow_imports_nothing_heavy(tmp_path) -> None:
    project = copy_project(tmp_path / "project")
    file = project.folder / "Snakefile"
    file.write_text(f"{file.read_text()}\nprint('IMPORTED', *sys.modules, file=sys.stderr)\n")
    printed = project.snakemake("--dry-run", "--quiet", "all", "--", "all_scenes")
    imported = set(next(line for line in printed.splitlines() if line.startswith("IMPORTED")).split())
    assert "apsam.config" in imported
    heavy = {"torch", "torchvision", "lightning", "cv2", "rasterio", "geopandas", "zarr", "scipy", "matplotlib"}
    assert not heavy & imported
