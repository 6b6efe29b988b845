"""Keys: a change gives another path to every file that it affects, and to no other."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from own_scenes import write_tiles
from rasterio.transform import from_origin
from rasters import write_raster
from run_keys import CODE, SYNTHETIC, changed, paths, run_of

from apsam.errors import ConfigError, InputError
from workflow_support import input_digests
from workflow_support.memory import Memory
from workflow_support.raster_size import raster_size
from workflow_support.recipes import ALL, Ref
from workflow_support.run import Run
from workflow_support.stages import STAGES

END = {
    "metrics/pseudo_masks": 1, "metrics/maps": 1, "metrics/summary": 1, "metrics/checks": 1, "metrics/objects": 1,
    "report": 1,
}  # fmt: skip
# Left border of rasters of 50 m, of which two touch.
PLACES = {"here": 500_000, "near": 500_040, "far": 510_000}


def test_the_same_recipe_has_the_same_path_and_settings_there_and_back(sheet: Callable[..., Path]) -> None:
    before = paths(run_of(sheet()))
    assert paths(run_of(sheet())) == before
    assert paths(run_of(sheet(), prompts={"threshold": 90})) != before
    assert paths(run_of(sheet(), prompts={"threshold": 120})) == before


def test_a_threshold_changes_prompts_and_what_follows(sheet: Callable[..., Path]) -> None:
    found = changed(paths(run_of(sheet())), paths(run_of(sheet(), prompts={"threshold": 90})))
    assert found == {
        "prompts": 3, "masks/apsam": 3, "masks/grabcut": 3, "resunet/apsam": 1, "maps/apsam": 1,
        # Products of the CAM masks' maps show the prompts too.
        "maps/apsam/products": 1, "maps/cam/products": 1, **END,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"products": {"min_area_m2": 50}}, {"maps/apsam/products": 1, "maps/cam/products": 1, "metrics/objects": 1,
                                           "report": 1}),
        ({"device": "cpu"}, {}),
        ({"keep_embeddings": False}, {}),
        ({"report": {"gallery_tiles": 9}}, {"report": 1}),
        ({"masks": {"prompts": "boxes"}}, {"masks/apsam": 3, "resunet/apsam": 1, "maps/apsam": 1,
                                           "maps/apsam/products": 1, "maps/cam/products": 1, **END}),
        # What changes no result, or nothing in this run.
        ({"localizer": {"memory_mb": 100}}, {"report": 1}),
        ({"split": {"seed": 3}}, {"report": 1}),
        ({"grabcut": {"iterations": 1}}, {"masks/grabcut": 3, "metrics/pseudo_masks": 1, "metrics/summary": 1}),
    ],
)  # fmt: skip
def test_a_setting_changes_the_stages_that_read_it(
    sheet: Callable[..., Path], sections: dict[str, Any], expected: dict[str, int]
) -> None:
    found = changed(paths(run_of(sheet())), paths(run_of(sheet(), **sections)))
    if "report" not in expected and expected:
        expected = {**expected, "report": 1}
    assert found == expected


def test_maps_of_more_scenes_leave_those_of_others(sheet: Callable[..., Path]) -> None:
    found = changed(paths(run_of(sheet())), paths(run_of(sheet(), maps={"scenes": "all"})))
    maps = ("maps/apsam", "maps/cam", "maps/apsam/products", "maps/cam/products")
    assert found == {**dict.fromkeys(maps, 2), **{name: END[name] for name in found if name in END}}


def test_an_added_held_out_scene_trains_nothing(sheet: Callable[..., Path]) -> None:
    before = paths(run_of(sheet()))
    found = changed(before, paths(run_of(sheet({**SYNTHETIC, "east": "test"}))))
    one = ("scenes", "tiles", "ground", "cams", "prompts", "embeddings", "masks/apsam", "masks/cam", "masks/grabcut")
    maps = ("maps/apsam", "maps/cam", "maps/apsam/products", "maps/cam/products")
    assert found == {**dict.fromkeys([*one, *maps, "metrics/localizer"], 1), **END}


def test_an_added_training_scene_trains_again_and_encodes_and_tiles_only_itself(sheet: Callable[..., Path]) -> None:
    found = changed(paths(run_of(sheet())), paths(run_of(sheet({**SYNTHETIC, "east": "train"}))))
    assert (found["tiles"], found["embeddings"], found["localizer"], found["cams"]) == (1, 1, 1, 4)
    assert found["resunet/apsam"] == found["resunet/cam"] == 1


def test_a_removed_held_out_scene_leaves_every_other_file(sheet: Callable[..., Path]) -> None:
    both = {**SYNTHETIC, "east": "test"}
    found = changed(paths(run_of(sheet(both))), paths(run_of(sheet())))
    assert found == {"metrics/localizer": 1, **END}


def test_two_runs_and_a_variant_share_what_is_the_same(sheet: Callable[..., Path]) -> None:
    one, other = run_of(sheet()), run_of(sheet(), run="other")
    assert changed(paths(one), paths(other)) == {"report": 1}, "the report names its run"
    variant = one.variant({"seed": 2})
    assert variant.file("tiles", "north") == one.file("tiles", "north")
    assert variant.file("localizer") != one.file("localizer")
    assert one.variant({"seed": 1}) is one
    assert one.path(Ref("localizer", changes={"seed": 2})) == variant.file("localizer")


@pytest.mark.parametrize("changes", [{"sam.nam": "vit_b"}, {"prompts.threshold": 300}, {"sede": 2}])
def test_a_wrong_change_of_a_variant_is_named(sheet: Callable[..., Path], changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes)).rpartition(".")[2]):
        run_of(sheet()).variant(changes)


def test_command_line_matches_the_key(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet(), prompts={"threshold": 90})
    recipe = run.recipe("prompts", "west")
    command = recipe.command(4)
    assert '"threshold": 90' in command and all(path in command for path in (*recipe.inputs, *recipe.outputs.values()))
    assert recipe.facts()["settings"]["prompts"]["threshold"] == 90
    assert "--threads 4" in run.recipe("encode" if "encode" in STAGES else "embeddings", "west").command(4)


def test_every_stage_has_a_recipe_and_every_input_is_one_of_its_stage(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet())
    for stage in STAGES.values():
        for unit in stage.units(run):
            recipe = run.recipe(stage.name, unit)
            assert all(path.startswith("results/store/") for path in recipe.inputs)
            assert f"/{stage.name}/{unit}." in recipe.output()
            assert recipe.command(1)


def test_a_function_of_the_library_changes_the_stages_that_use_it(
    sheet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = paths(run_of(sheet())), CODE.of_command
    monkeypatch.setattr(CODE, "of_command", lambda module, name=None: real(module, name) + "x" * (module == "encode"))
    found = changed(before, paths(run_of(sheet())))
    assert found["embeddings"] == 3 and "cams" not in found and "localizer" not in found


def given_run(tmp_path: Path, sheet: Callable[..., Path], folder: str = "data") -> Run:
    return run_of(
        sheet(None, *[f"{part}\t{part}/images\t{part}/labels.csv\t{part}/masks\t{part}" for part in ("train", "test")]),
        data_dir=str(tmp_path / folder),
    )


def test_hidden_files_of_a_folder_are_no_tiles(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    write_tiles(tmp_path / "a", 3, np.random.default_rng(0), ".tif")
    for number in range(3):
        (tmp_path / f"a/images/._{number}.tif").write_bytes(b"of macOS")
    row = "a\ta/images\ta/labels.csv\t\ttrain"
    assert run_of(sheet(None, row), tiles={"block_tiles": 1}).blocks == {"a": 3}


def test_input_data_count_by_content(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    for part, count in (("train", 4), ("test", 2)):
        write_tiles(tmp_path / "data" / part, count, np.random.default_rng(0), ".tif")
    before = paths(given_run(tmp_path, sheet))
    for file in (tmp_path / "data").rglob("*"):
        os.utime(file, (1e9, time.time()))
    assert paths(given_run(tmp_path, sheet)) == before, "times mean nothing"
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    moved = changed(before, paths(given_run(tmp_path, sheet, "elsewhere")))
    assert set(moved) <= {"report"}, "the place means nothing, but for the configuration that the report shows"

    def changes_of(file: str, old: bytes, new: bytes) -> set[str]:
        first, path = paths(given_run(tmp_path, sheet, "elsewhere")), tmp_path / "elsewhere" / file
        content = path.read_bytes()
        assert old in content and len(old) == len(new), "of the same size"
        path.write_bytes(content.replace(old, new, 1))
        return set(changed(first, paths(given_run(tmp_path, sheet, "elsewhere"))))

    assert changes_of("train/masks/3.tif", b"\xff", b"\x00") == {"metrics/pseudo_masks", "metrics/summary", "report"}
    found = changes_of("test/images/1.tif", b"\x01", b"\x02")
    assert {"tiles", "cams", "masks/apsam", "metrics/localizer"} <= found
    assert not {"localizer", "resunet/apsam"} & found, "a held-out image trains nothing"


def test_a_run_without_held_out_scenes_maps_its_training_scenes(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    write_tiles(tmp_path / "data/train", 3, np.random.default_rng(1))
    row = "train\ttrain/images\ttrain/labels.csv\t\ttrain"
    run = run_of(sheet(None, row), data_dir=str(tmp_path / "data"))
    assert run.mapped == ["train"] and STAGES["maps/apsam/tiles"].units(run) == ["train"]
    assert run_of(sheet()).mapped == ["west"], "those that are held out"
    assert STAGES["metrics/localizer"].units(run) == []
    assert not any("metrics/localizer" in path for path in run.recipe("report").inputs)


def test_suggestions_are_made_of_scenes_that_a_person_labelled(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    plain = run_of(sheet())
    assert not [name for name in plain.plain_names if name.startswith("suggestions")]
    for part, count in (("train", 3), ("test", 2)):
        write_tiles(tmp_path / "data" / part, count, np.random.default_rng(count))
    run = given_run(tmp_path, sheet)
    job = run.recipe("suggestions")
    assert job.output() in run.recipe("report").inputs
    assert {run.file("suggestions/localizer", part) for part in ("train", "test")} < set(job.inputs)
    # What is not mapped is predicted tile by tile; what is mapped has its map.
    assert run.file("suggestions/map", "train") in job.inputs and run.file("maps/apsam/tiles", "test") in job.inputs
    everything = run_of(sheet(), report={"suggestions": "all"})
    assert STAGES["suggestions/localizer"].units(everything) == everything.names


def test_a_checkpoint_counts_by_content(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    for name, content in (("a.pth", b"one"), ("b.pth", b"one"), ("c.pth", b"two")):
        (tmp_path / name).write_bytes(content)
    of = {
        name: paths(run_of(sheet(), sam={"checkpoint": str(tmp_path / name)})) for name in ("a.pth", "b.pth", "c.pth")
    }
    assert changed(of["a.pth"], of["b.pth"]) == {"report": 1}
    assert changed(of["a.pth"], of["c.pth"])["embeddings"] == 3


def test_a_map_has_no_more_bands_than_rows_of_windows(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    road = write_ones(tmp_path / "road.tif", 100, 1000)
    row = f"road\t{road}\tmask\t{road}\ttrain"
    run = run_of(sheet(None, row), tiles={"size": 64, "block_tiles": 2})
    assert run.bands == {"road": 2} and run.blocks["road"] > 10


def test_large_scenes_have_one_job_per_block_and_one_join(sheet: Callable[..., Path]) -> None:
    small = {"size_px": 512}
    whole, blocks = run_of(sheet(), synthetic=small), run_of(sheet(), synthetic=small, tiles={"block_tiles": 4})
    assert [len(STAGES["tiles"].units(run)) for run in (whole, blocks)] == [3, 9], "9 tiles, 4 at most: 3 blocks"
    assert [len(STAGES["tiles/joined"].units(run)) for run in (whole, blocks)] == [0, 3]
    assert [len(STAGES["maps/apsam/bands"].units(run)) for run in (whole, blocks)] == [0, 3]
    assert blocks.stack("masks/apsam", "west") == Ref("masks/apsam/joined", "west")
    assert blocks.stack("masks/box", "west") == Ref("masks/box", "west")
    joined = blocks.recipe("tiles/joined", "west")
    assert [path.split("/")[-1] for path in joined.inputs] == [f"west.b00{n}.zarr.zip" for n in (1, 2, 3)]


def test_very_many_files_of_a_job_go_through_standard_input(sheet: Callable[..., Path]) -> None:
    scenes = {f"s{number:03d}": "test" if number % 9 else "train" for number in range(150)}
    recipe = run_of(sheet(scenes)).recipe("report")
    command = recipe.command(1)
    assert command.startswith("printf '%s\\n' results/store/") and command.endswith(" --files -")
    files, _, plain = command.partition(" | python scripts/report.py ")
    assert set(recipe.inputs) == set(files.split()[2:]) and not any(path in plain for path in recipe.inputs)
    assert all(len(word) < 100_000 for word in shlex.split(command))
    few = run_of(sheet()).recipe("report").command(1)
    assert few.startswith("python scripts/report.py") and " --files results/store/" in few


def test_a_far_held_out_scene_is_not_compared_with_training_scenes(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    rasters = {name: write_ones(tmp_path / f"{name}.tif", 100, 100, left) for name, left in PLACES.items()}

    def row(name: str, split: str) -> str:
        return f"{name}\t{rasters[name]}\tmask\t{rasters[name]}\t{split}"

    leave_out = {"split": {"shared_ground": "leave_out"}}
    near = run_of(sheet(None, row("here", "train"), row("near", "test")), **leave_out)
    both = run_of(sheet(None, row("here", "train"), row("near", "test"), row("far", "test")), **leave_out)
    assert both.shares_ground_with("here") == near.shares_ground_with("here") == [rasters["near"]]
    assert both.path(Ref("tiles", "here")) == near.path(Ref("tiles", "here"))
    alone = run_of(sheet(None, row("here", "train"), row("far", "test")), **leave_out)
    assert alone.shares_ground_with("here") == [] != near.shares_ground_with("here")
    assert near.shares_ground_with("near") == [], "it does not train"


def test_a_held_out_scene_whose_world_file_is_corrected_is_compared(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    """The image itself stays as it is; where it lies is cached between starts."""

    def put(name: str, left: float) -> None:
        (tmp_path / f"{name}.pgw").write_text(f"1\n0\n0\n-1\n{left}\n3000000\n")
        os.utime(tmp_path / f"{name}.pgw", (left, left))  # long ago

    for name, left in {"here": 500_000, "other": 600_000}.items():
        image = tmp_path / f"{name}.png"
        write_ones(tmp_path / "made.tif", 100, 100)
        rasterio.shutil.copy(tmp_path / "made.tif", image, driver="PNG")
        Path(f"{image}.aux.xml").write_text("<PAMDataset><SRS>EPSG:32648</SRS></PAMDataset>")
        put(name, left)
        for file in (image, Path(f"{image}.aux.xml")):
            os.utime(file, (1e9, 1e9))
    rows = [f"{name}\t{name}.png\tmask\t{name}.png\t{split}" for name, split in (("here", "train"), ("other", "test"))]
    leave_out = {"split": {"shared_ground": "leave_out"}}
    far = run_of(sheet(None, *rows), **leave_out)
    assert far.shares_ground_with("here") == []
    far.memory.save()
    put("other", 500_050)
    assert run_of(sheet(None, *rows), **leave_out).shares_ground_with("here") == [tmp_path / "other.png"]


def test_a_job_that_reads_the_sheet_knows_its_content_which_is_not_in_the_key(sheet: Callable[..., Path]) -> None:
    file = sheet()
    stages = ("metrics/pseudo_masks", "metrics/maps", "metrics/objects", "report", "experiments/everything_vs_apsam")
    before = {stage: run_of(file).recipe(stage) for stage in stages}
    file.write_text(file.read_text() + "# a note\n")
    for stage, recipe in before.items():
        after = run_of(file).recipe(stage)
        assert after.key == recipe.key
        assert after.facts()["given"][str(file)] != recipe.facts()["given"][str(file)], "of the sheet that was read"


def test_a_job_knows_how_many_files_were_read_with_its_inputs(tmp_path: Path, sheet: Callable[..., Path]) -> None:
    """By which it notices that one was removed since, as a world file."""
    write_ones(tmp_path / "here.tif", 100, 100)
    (tmp_path / "here.tfw").write_text("1\n0\n0\n-1\n500000\n3000000\n")
    run = run_of(sheet(None, "here\there.tif\tmask\there.tif\ttrain"))
    known = run.recipe("tiles", "here").facts()
    (tmp_path / "here.tfw").unlink()
    assert known["given_files"] == {str(tmp_path / "here.tif"): 2}
    assert run.recipe("tiles", "here").facts() == known, "of when the key was made"


def test_a_file_beside_the_data_that_cannot_be_read_is_named(
    tmp_path: Path, sheet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: Path) -> str:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(input_digests, "content_checksum", refused)
    with pytest.raises(InputError, match=r"scenes.tsv: cannot be read \(Permission denied\)"):
        run_of(sheet()).given.prepare([tmp_path / "scenes.tsv"])


def test_a_path_of_no_recipe_is_named(sheet: Callable[..., Path]) -> None:
    run = run_of(sheet())
    with pytest.raises(InputError, match="no recipe of this configuration"):
        run.recipe_of("prompts", "west", "0" * 12)
    with pytest.raises(InputError, match="did you mean results/demo/prompts/west.json"):
        run.find("prompts/wst.json")
    assert run.find("maps/apsam/west_mask.tif") == Ref("maps/apsam", "west", "mask")


def test_a_job_of_an_experiment_finds_its_recipe(sheet: Callable[..., Path]) -> None:
    """A job on a cluster gets only the path of its output."""
    key = run_of(sheet()).variant({"seed": 2}).recipe("apsam_metrics", ALL).key
    assert run_of(sheet()).recipe_of("apsam_metrics", ALL, key).key == key


@pytest.mark.parametrize("name", ["store", "edited"])
def test_reserved_names_of_runs_are_refused(sheet: Callable[..., Path], name: str) -> None:
    with pytest.raises(ConfigError, match="choose another name"):
        run_of(sheet(), run=name)


def test_cache_is_updated_when_a_file_changes(tmp_path: Path) -> None:
    file, memory = tmp_path / "a.txt", Memory(tmp_path / "memory.json")
    file.write_text("one")
    os.utime(file, (1e9, 1e9))
    assert memory.of_file("size", file, lambda: 3) == 3
    assert memory.of_file("size", file, lambda: 4) == 3
    memory.save()
    assert Memory(tmp_path / "memory.json").of_file("size", file, lambda: 5) == 3
    file.write_text("three")
    os.utime(file, (1e9 + 1, 1e9 + 1))
    assert Memory(tmp_path / "memory.json").of_file("size", file, lambda: 5) == 5
    file.write_text("seven")
    assert [memory.of_file("size", file, lambda n=n: n) for n in (6, 7)] == [6, 7], "it may change again within a tick"


def test_a_file_of_a_date_in_the_future_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from an archive that was made in another time zone: its checksum is not computed at every start."""
    file, memory = tmp_path / "a.tif", Memory(tmp_path / "memory.json")
    file.write_text("one")
    now = file.stat().st_ctime
    os.utime(file, (now + 8 * 3600,) * 2)
    monkeypatch.setattr("time.time", lambda: now + 60)
    assert [memory.of_file("size", file, lambda n=n: n) for n in (1, 2)] == [1, 1]
    file.write_text("two")
    assert memory.of_file("size", file, lambda: 3) == 3


def test_settings_of_a_row_change_the_tiles_of_its_scene(sheet: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif", "points.gpkg"):
        (tmp_path / name).write_bytes(name.encode())

    def run(*cells: str) -> dict[str, str]:
        rows = [
            f"{name}\t{name}.tif\tpoints.gpkg\t\t{split}\t{cell}"
            for name, split, cell in zip("ab", ("train", "test"), cells, strict=True)
        ]
        path = sheet(None, *rows)
        path.write_text(path.read_text().replace("split\n", "split\tbuffer_m\n", 1))
        return paths(run_of(path))

    before, after = run("", ""), run("", "60")
    tiles = [{name: files[f"tiles/{name}.zarr.zip"] for name in "ab"} for files in (before, after)]
    assert tiles[0]["a"] == tiles[1]["a"] and tiles[0]["b"] != tiles[1]["b"]
    assert run("", "60.0") == after


def write_ones(path: Path, height: int, width: int, left: float = 500_000) -> Path:
    """A raster of ones, 0.5 m a pixel."""
    ones = np.ones((1, height, width), np.uint8)
    return write_raster(path, ones, transform=from_origin(left, 3_000_000, 0.5, 0.5))


def test_sizes_of_scenes_that_are_averaged(tmp_path: Path) -> None:
    write_ones(tmp_path / "a.tif", 300, 200)
    memory = Memory(Path(os.devnull))
    sizes = [raster_size(tmp_path / "a.tif", memory, metres) for metres in (None, 0.4, 1.0, 2.0)]
    assert sizes == [(300, 200), (300, 200), (150, 100), (75, 50)]
    assert raster_size(tmp_path / "b.tif", memory, 1.0) == (1, 1)
