"""The view of a run: exactly the files of a configuration; files that a person added or changed are kept."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path

import pytest

from apsam.errors import InputError
from apsam.files import read_json
from apsam.store.recipe import write_recipe
from apsam.store.view import MANIFEST, stored_file
from workflow_support.view import check_run_folder, update_view, where_to_look

KEYS = {"a": "0" * 12, "b": "1" * 12}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two versions of two jobs' files."""
    monkeypatch.chdir(tmp_path)
    for version, key in KEYS.items():
        job("maps/apsam", f"west.{key}", version, "west.tif", "west.gpkg")
        job("prompts", f"west.{key}", version, "west.json")
    return tmp_path / "results/store"


def job(stage: str, name: str, content: str, *files: str) -> None:
    folder = Path("results/store", stage, name)
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_text(content)
    write_recipe(folder, {"stage": stage, "view": stage, "unit": "west", "key": name[-12:]}, [], {"seconds": 1})


def files_of(version: str) -> dict[str, str]:
    key = KEYS[version]
    return {
        "maps/apsam/west.tif": f"results/store/maps/apsam/west.{key}/west.tif",
        "maps/apsam/west.gpkg": f"results/store/maps/apsam/west.{key}/west.gpkg",
        "prompts/west.json": f"results/store/prompts/west.{key}/west.json",
        "report/index.html": f"results/store/report/all.{key}/index.html",  # not made yet
    }


RUN = Path("results/demo")


def content() -> dict[str, str]:
    return {
        f.relative_to(RUN).as_posix(): f.read_text()
        for f in sorted(RUN.rglob("*"))
        if f.is_file() and f.name != MANIFEST
    }


def update(version: str, started: float = 0) -> list[str]:
    return update_view(RUN, files_of(version), started).warnings


def test_view_has_exactly_the_files_of_the_configuration(store: Path) -> None:
    assert update("a") == []
    assert content() == dict.fromkeys(("maps/apsam/west.gpkg", "maps/apsam/west.tif", "prompts/west.json"), "a")
    assert update("b") == [] and set(content().values()) == {"b"}
    assert update_view(RUN, {"prompts/west.json": files_of("a")["prompts/west.json"]}, 0).warnings == []
    assert content() == {"prompts/west.json": "a"}, "nothing of another configuration stays"
    assert sorted(path.name for path in RUN.parent.iterdir()) == ["demo", "store"], "no half of it is left"


def test_a_second_update_leaves_the_folder_alone(store: Path) -> None:
    update("a")
    before = RUN.stat().st_ino, (RUN / MANIFEST).stat().st_mtime_ns
    found = update_view(RUN, files_of("a"), time.time() + 5)
    assert not found.changed and (found.made, found.found) == (0, 2)
    assert (RUN.stat().st_ino, (RUN / MANIFEST).stat().st_mtime_ns) == before
    assert update_view(RUN, files_of("b"), 0).made == 2


def test_large_files_are_links_and_small_ones_copies(store: Path) -> None:
    update("a")
    for name, linked in (("maps/apsam/west.tif", True), ("maps/apsam/west.gpkg", False), ("prompts/west.json", False)):
        assert os.path.samefile(RUN / name, files_of("a")[name]) is linked


def test_edited_file_stays_until_the_configuration_changes(store: Path) -> None:
    update("a")
    (RUN / "maps/apsam/west.gpkg").write_text("my own polygons")
    (warning,) = update("a")
    assert "west.gpkg was changed by hand; it stays" in warning
    assert content()["maps/apsam/west.gpkg"] == "my own polygons"
    assert Path(files_of("a")["maps/apsam/west.gpkg"]).read_text() == "a", "the store is not touched"
    warnings = update("b")
    assert len(warnings) == 1 and "your version is now results/edited/demo/" in warnings[0]
    assert content()["maps/apsam/west.gpkg"] == "b"
    (aside,) = Path("results/edited/demo").rglob("west.gpkg")
    assert aside.read_text() == "my own polygons"


def test_a_replaced_link_is_an_edited_file(store: Path) -> None:
    """Programs that save by renaming do not change the store."""
    update("a")
    Path("new.tif").write_text("mine")
    os.replace("new.tif", RUN / "maps/apsam/west.tif")
    update("b")
    assert [f.read_text() for f in Path("results/edited/demo").rglob("west.tif")] == ["mine"]


def test_a_replaced_link_is_copied_once(store: Path) -> None:
    update("a")
    (RUN / "maps/apsam/west.tif").unlink()
    (RUN / "maps/apsam/west.tif").write_text("mine")
    update("a")
    made = RUN.stat().st_ino
    update("a")
    assert RUN.stat().st_ino == made and content()["maps/apsam/west.tif"] == "mine"


def test_the_old_view_is_put_back_after_a_kill_between_two_renames(store: Path) -> None:
    update("a")
    (RUN / "mine.txt").write_text("mine")
    RUN.rename(RUN.with_name(".demo.old"))
    update("b")
    assert content()["mine.txt"] == "mine" and content()["prompts/west.json"] == "b"


def test_a_changed_file_of_the_store_is_named_and_stays(store: Path) -> None:
    update("a")
    file = Path(files_of("a")["prompts/west.json"])
    file.chmod(0o644)
    file.write_text("edited")
    (warning,) = update("a")
    assert str(file) in warning and "is not what the workflow made" in warning and f"remove {file.parent}" in warning
    assert file.read_text() == "edited"
    file.write_text("A")  # as long as it was, and newer than its recipe
    os.utime(file, (time.time() + 10,) * 2)
    assert len(update("a")) == 1
    file.write_text("a")
    os.utime(file, (time.time() + 10,) * 2)
    assert update("a") == [], "a copy or a checkout with other times is the same file"


def test_other_files_stay_and_sidecars_are_removed_with_their_file(store: Path) -> None:
    update("a")
    (RUN / "notes.txt").write_text("mine")
    (RUN / "maps/apsam/west.tif.aux.xml").write_text("statistics of version a")
    update("a")
    assert "maps/apsam/west.tif.aux.xml" in content()
    update("b")
    assert content()["notes.txt"] == "mine" and "maps/apsam/west.tif.aux.xml" not in content()


def test_a_view_has_no_links_to_dvcs_cache(store: Path, tmp_path: Path) -> None:
    """Copied elsewhere, they would point to nothing."""
    made = Path(files_of("a")["maps/apsam/west.tif"])
    made.rename(tmp_path / "cached")
    made.symlink_to(tmp_path / "cached")
    update("a")
    assert not (RUN / "maps/apsam/west.tif").is_symlink() and (RUN / "maps/apsam/west.tif").samefile(made)
    assert update("a") == [] and content()["maps/apsam/west.tif"] == "a"


def test_a_view_that_is_a_link_stays_one(store: Path, tmp_path: Path) -> None:
    (tmp_path / "disk/demo").mkdir(parents=True)
    RUN.symlink_to(tmp_path / "disk/demo")
    for version in "aba":
        update(version)
        assert RUN.is_symlink() and content()["prompts/west.json"] == version
    assert os.listdir(tmp_path / "disk") == ["demo"] and sorted(os.listdir("results")) == ["demo", "store"]


def test_links_in_a_view_stay_links(store: Path, tmp_path: Path) -> None:
    update("a")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/large.tif").write_text("large")
    links = {"data": "../../data", "maps/large.tif": "../../../data/large.tif", "of a disk that is away": "/nowhere/x"}
    for name, target in links.items():
        (RUN / name).symlink_to(target)
    update("b")
    assert {name: os.readlink(RUN / name) for name in links} == links
    assert (RUN / "maps/large.tif").read_text() == "large"


def test_a_file_that_lies_where_the_workflow_puts_one_is_moved_aside(store: Path) -> None:
    made = files_of("a")
    update_view(RUN, {"prompts/west.json": made["prompts/west.json"]}, 0)
    (RUN / "maps/apsam").mkdir(parents=True)
    (RUN / "maps/apsam/west.tif").write_text("my own map")
    (warning,) = update_view(RUN, made, 0).warnings
    assert content()["maps/apsam/west.tif"] == "a"
    assert Path(warning.rpartition(" is now ")[2]).read_text() == "my own map"


def test_files_in_a_folder_where_the_workflow_puts_a_file_are_moved_aside(store: Path) -> None:
    made = files_of("a")
    update_view(RUN, {"prompts/west.json": made["prompts/west.json"]}, 0)
    (RUN / "maps/apsam/west.gpkg").mkdir(parents=True)
    (RUN / "maps/apsam/west.gpkg/notes.txt").write_text("mine")
    (warning,) = update_view(RUN, made, 0).warnings
    assert content()["maps/apsam/west.gpkg"] == "a"
    assert Path(warning.rpartition(" is now ")[2]).read_text() == "mine"


def test_a_link_in_place_of_a_file_is_moved_aside_with_its_target(store: Path) -> None:
    update("a")
    (RUN / "mine.json").write_text("mine")
    (RUN / "prompts/west.json").unlink()
    (RUN / "prompts/west.json").symlink_to("../mine.json")
    (warning,) = update("b")
    assert Path(warning.rpartition(" is now ")[2]).read_text() == "mine"


@pytest.mark.parametrize("mounted", [True, False])
def test_a_view_whose_place_cannot_be_exchanged_is_refused_before_the_run(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool
) -> None:
    (tmp_path / "disk").mkdir()
    RUN.symlink_to(tmp_path / "disk")
    if mounted:
        monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "disk")
    else:
        monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(InputError, match="results/demo: cannot be exchanged .* make it a link to a folder"):
        check_run_folder(RUN)


def test_missing_files_come_back(store: Path) -> None:
    update("a")
    (RUN / "prompts/west.json").unlink()
    assert update("a") == [] and content()["prompts/west.json"] == "a"


def test_a_folder_that_is_no_view_is_refused_and_not_touched(store: Path) -> None:
    (RUN / ".provenance").mkdir(parents=True)
    (RUN / "maps").mkdir()
    (RUN / "maps/old.tif").write_text("old")
    with pytest.raises(InputError, match=r"earlier version of apsam.*nothing of it is touched.*mv results/demo"):
        update("a")
    assert content() == {"maps/old.tif": "old"}
    with pytest.raises(InputError, match="earlier version"):
        stored_file(RUN / "maps/old.tif")


def test_a_file_with_the_name_of_a_view_is_refused(store: Path) -> None:
    RUN.write_text("mine")
    with pytest.raises(InputError, match="results/demo: is not a view"):
        update("a")
    assert RUN.read_text() == "mine"


def test_a_plain_name_leads_to_the_store(store: Path) -> None:
    update("a")
    assert stored_file(RUN / "maps/apsam/west.tif") == Path.cwd() / files_of("a")["maps/apsam/west.tif"]
    manifest = read_json(RUN / MANIFEST)["files"]
    assert manifest["prompts/west.json"]["file"] == files_of("a")["prompts/west.json"]
    (RUN / "mine.txt").write_text("")
    with pytest.raises(InputError, match="not a file that the workflow made"):
        stored_file(RUN / "mine.txt")


def test_a_geopackage_that_is_open_for_writing_does_not_reach_the_store(store: Path) -> None:
    file = Path(files_of("a")["maps/apsam/west.gpkg"])
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("create table landslides (id)")
    before = file.read_bytes()
    update("a")
    with sqlite3.connect(RUN / "maps/apsam/west.gpkg") as database:
        database.execute("pragma journal_mode=wal")
        database.execute("insert into landslides values (1)")
        database.commit()
        update("b")
    assert file.read_bytes() == before


def test_warnings_of_the_maps_come_first(store: Path) -> None:
    job("metrics/checks", "all." + KEYS["a"], json.dumps({"warnings": ["west: do not use it"]}), "checks.json")
    checks = {"metrics/checks.json": f"results/store/metrics/checks/all.{KEYS['a']}/checks.json"}
    told = where_to_look(RUN, update_view(RUN, files_of("a") | checks, 0))
    assert told.startswith("warning: west: do not use it\n")


def test_maps_of_scene_wide_masks_are_named_before_the_others(store: Path) -> None:
    files = {}
    for source in ("apsam", "ground"):
        job(f"maps/{source}/products", "west." + KEYS["a"], source, "west.qgs")
        files[f"maps/{source}/west.qgs"] = f"results/store/maps/{source}/products/west.{KEYS['a']}/west.qgs"
    told = where_to_look(RUN, update_view(RUN, files, 0))
    assert "maps/ground/west.qgs" in told and "maps/apsam" not in told
    del files["maps/ground/west.qgs"]
    assert "maps/apsam/west.qgs" in where_to_look(RUN, update_view(RUN, files, 0))


def test_summary_lists_made_files_and_results(store: Path) -> None:
    found = update_view(RUN, files_of("a"), 0)
    assert where_to_look(RUN, found).startswith("results/demo: the files of 2 jobs made now, of 0 found")
