"""The shelf as a store of files: links, moves, limits; and what is noted about files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from apsam.errors import InputError
from apsam.provenance import Provenance, find_entry, flatten, state_of
from apsam.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "run")


def make(shelf: Shelf, name: str, text: str) -> dict[str, dict[str, str]]:
    """A file in place, and its entry."""
    path = shelf.results / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    return {name: {"sha256": text}}


def test_versions_come_back_by_key(shelf: Shelf) -> None:
    files = make(shelf, "a/x", "old") | make(shelf, "a/y", "old too")
    shelf.put("k1", "rule", files)
    assert os.path.samefile(shelf.results / "a/x", shelf.find("k1").path("a/x")) and shelf.find("k1").own_bytes == 0
    shelf.put("k2", "rule", make(shelf, "a/x", "new"))
    assert shelf.find("k1").own_bytes == len("old") and shelf.find("nothing") is None
    shelf.take(shelf.find("k1"))
    assert (shelf.results / "a/x").read_text() == "old" and shelf.find("k2").path("a/x").read_text() == "new"
    shelf.take(shelf.find("k1"))
    assert sorted(file.name for file in (shelf.results / "a").iterdir()) == ["x", "y"], "nothing partial is left"


def test_the_longest_unused_go_first(shelf: Shelf) -> None:
    for number in range(4):
        shelf.put(f"k{number}", "rule", make(shelf, "x", str(number) * 100))
        os.utime(shelf.folder / f"k{number}" / "entry.json", (number, number))
    shelf.take(shelf.find("k0"))
    removed = shelf.keep_within(200)
    assert [version.key for version in removed] == ["k1"], "k0 is in place and takes no space; k2 and k3 fit"
    assert [version.key for version in shelf.versions()] == ["k2", "k3", "k0"]
    shelf.clear()
    assert shelf.versions() == [] and (shelf.results / "x").read_text() == "0" * 100


def test_without_hard_links_files_move_and_only_when_they_give_way(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    files = make(shelf, "x", "old")
    shelf.put("k1", "rule", files)
    assert shelf.find("k1") is None and (shelf.results / "x").exists()
    shelf.put("k1", "rule", files, give_way=True)
    assert shelf.find("k1").path("x").read_text() == "old" and not (shelf.results / "x").exists()
    shelf.take(shelf.find("k1"))
    assert (shelf.results / "x").read_text() == "old" and shelf.find("k1") is None


def test_write_protected_files_give_way(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make(shelf, "x", "protected by DVC")
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    shelf.put("k1", "rule", files)
    assert (shelf.results / "x").exists()
    shelf.put("k1", "rule", files, give_way=True)
    assert not (shelf.results / "x").exists() and shelf.find("k1").path("x").read_text() == "protected by DVC"


def test_folders_and_links_are_files_too(shelf: Shelf, tmp_path: Path) -> None:
    make(shelf, "figures/a.png", "a")
    (tmp_path / "cached").write_text("in DVC's cache")
    (shelf.results / "x").symlink_to(tmp_path / "cached")
    shelf.put("k1", "rule", {"figures": {}, "x": {}})
    make(shelf, "figures/b.png", "b")
    (shelf.results / "x").unlink()
    shelf.take(shelf.find("k1"))
    assert [file.name for file in (shelf.results / "figures").iterdir()] == ["a.png"]
    assert (shelf.results / "x").is_symlink() and (shelf.results / "x").read_text() == "in DVC's cache"
    (tmp_path / "cached").unlink()
    assert shelf.find("k1") is None, "a link that leads nowhere is no version"


def test_a_version_that_vanished_is_told(shelf: Shelf) -> None:
    shelf.put("k1", "rule", make(shelf, "x", "old"))
    version = shelf.find("k1")
    shelf.clear()
    with pytest.raises(InputError, match="run again"):
        shelf.take(version)


def test_provenance_is_stored_by_stage_and_found_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entry = {"sha256": "s", "record": {"rule": "cams"}, "parameters": {"a": 1}, "environment": {"numpy": "2"}}
    provenance = Provenance("results/demo")
    for name in ("cams/x", "cams/y", "tiles/x"):
        provenance.put(f"results/demo/{name}", entry)
    provenance.save()
    Path("results/demo/cams").mkdir()
    for name in ("x", "z"):
        Path(f"results/demo/cams/{name}").write_text("text")
    assert sorted(file.name for file in Path("results/demo/.provenance").iterdir()) == ["cams.json", "tiles.json"]
    monkeypatch.chdir(tmp_path / "results")
    assert find_entry(Path("demo/cams/x"))[:2] == ("results/demo/cams/x", entry)
    assert state_of(Path("demo/cams/x"), "s") == "changed since it was made"
    with pytest.raises(InputError, match="nothing says what made it"):
        find_entry(Path("demo/cams/z"))
    with pytest.raises(InputError, match="lies in no run"):
        find_entry(Path("elsewhere"))
    monkeypatch.chdir(tmp_path)
    again = Provenance("results/demo")
    again.forget_missing()
    assert [output for output, _ in again.items()] == ["results/demo/cams/x"]
    again.save()
    Path("results/demo/.provenance/cams.json").write_text("{")
    assert list(Provenance("results/demo").items()) == [], "half a file is as good as none"


def test_parameters_are_flattened() -> None:
    assert flatten({"settings": {"threshold": 90, "deep": {"er": 1}}, "code": "c"}) == {
        "settings.threshold": 90,
        "settings.deep.er": 1,
        "code": "c",
    }
