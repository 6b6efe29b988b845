"""Label tables: identity of their tiles, refused tables, and adding labels without losing any."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import pytest
from labelling_scenes import SMALL, TRANSFORM, write_scene
from typer.testing import CliRunner

from apsam.cli import app
from apsam.errors import InputError
from apsam.labelling.add import add_labels
from apsam.labelling.grid import write_grid
from apsam.labelling.identity import GridIdentity, parse_identity, raster_identity
from apsam.labelling.tables import check_same_tiles, read_table, write_table
from apsam.tiles.settings import TileSettings


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    write_grid(write_scene(tmp_path / "valley.tif"), SMALL, tmp_path / "grid.gpkg")
    return tmp_path / "grid.gpkg"


def table(grid: Path, path: Path, labels: dict[str, int], **changes: object) -> Path:
    """A table as from the page: all tiles of the grid, some with labels."""
    there = read_table(grid)
    identity = GridIdentity(**{**there.identity.__dict__, **changes})
    write_table(path, identity, list(there.labels), [labels.get(name, 255) for name in there.labels])
    return path


def labels_of(path: Path) -> dict[str, int]:
    return {name: label for name, label in read_table(path).labels.items() if label != 255}


def test_an_identity_is_read_back_as_it_was_written() -> None:
    identity = raster_identity("valley", 256, 154, 2304, 2432, TRANSFORM)
    assert parse_identity("valley", identity.text) == identity
    assert parse_identity("crops", GridIdentity("crops").text) == GridIdentity("crops")
    assert parse_identity("valley", "256") is None


def test_adding_labels_keeps_everything_else_in_the_grid(grid: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(grid)) as database:
        database.execute("CREATE TABLE notes (words TEXT)")
        database.execute("INSERT INTO notes VALUES ('mine')")
        database.commit()
    before = gpd.read_file(grid, layer="tiles")
    first = add_labels([table(grid, tmp_path / "a.csv", {"r64_c96": 1, "r96_c96": 0})], grid)
    assert (first.new, first.same, first.kept, first.replaced) == (2, 0, 0, 0)
    second = add_labels([table(grid, tmp_path / "b.csv", {"r64_c96": 1, "r128_c0": 0})], grid)
    assert (second.new, second.same, second.kept) == (1, 1, 1)
    assert labels_of(grid) == {"r64_c96": 1, "r96_c96": 0, "r128_c0": 0}
    after = gpd.read_file(grid, layer="tiles")
    assert after.drop(columns="label").equals(before.drop(columns="label"))
    with closing(sqlite3.connect(grid)) as database:
        assert database.execute("SELECT words FROM notes").fetchall() == [("mine",)]
        assert database.execute("SELECT count(*) FROM layer_styles").fetchone() == (1,)


def test_contradicting_labels_change_nothing_without_replace(grid: Path, tmp_path: Path) -> None:
    add_labels([table(grid, tmp_path / "a.csv", {"r64_c96": 1, "r96_c96": 0})], grid)
    other = table(grid, tmp_path / "b.csv", {"r64_c96": 0, "r128_c0": 0})
    with pytest.raises(InputError, match=r"1 tile\(s\) have another label there, .*'r64_c96' \(1, and 0 in b.csv\)"):
        add_labels([other], grid)
    assert labels_of(grid) == {"r64_c96": 1, "r96_c96": 0}
    done = add_labels([other], grid, replace=True)
    assert (done.new, done.replaced) == (1, 1)
    assert labels_of(grid) == {"r64_c96": 0, "r96_c96": 0, "r128_c0": 0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scene": "ridge"}, r"of the scene 'ridge', not of 'valley'"),
        ({"size": 32}, r"for tiles of 32 px with a stride of 32 px, not 64 px with 32 px"),
        ({"stride": 16}, r"for tiles of 64 px with a stride of 16 px, not 64 px with 32 px"),
        ({"place": "00000000"}, r"of a raster 'valley' of another size or at another place"),
        ({"size": 0}, r"of a folder of ready-made tiles, not of a raster"),
    ],
)
@pytest.mark.parametrize("target", ["grid.gpkg", "grid.csv"])
def test_a_table_of_other_tiles_is_refused_by_name(
    grid: Path, tmp_path: Path, changes: dict, words: str, target: str
) -> None:
    output = tmp_path / target
    if target.endswith(".csv"):
        write_grid(tmp_path / "valley.tif", SMALL, output)
    before = output.read_bytes()
    with pytest.raises(InputError, match=rf"other.csv: its labels are {words}.*; nothing was changed"):
        add_labels([table(grid, tmp_path / "other.csv", {"r64_c96": 1}, **changes)], output)
    assert output.read_bytes() == before


def test_a_table_of_an_older_tile_size_without_identity_is_refused_by_its_names(grid: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_text("tile,label\nr0_c0,1\nr20_c0,0\n")
    with pytest.raises(InputError, match=r"labels for 1 tile\(s\) that .* does not have, for example 'r20_c0'"):
        add_labels([old], grid)
    old.write_text("tile,label\nr0_c0,1\n")
    with pytest.raises(InputError, match=r"does not name its scene, and lists 1 of the 63 tiles"):
        add_labels([old], grid)


def test_table_without_scene_needs_the_scene_as_argument(grid: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv"
    names = list(read_table(grid).labels)
    plain.write_text("\n".join(["tile,who,label", *(f"{name},me," for name in names)]) + "\n")
    given = table(grid, tmp_path / "a.csv", {"r64_c96": 1})
    with pytest.raises(InputError, match=r"plain.csv: does not name its scene; name the scene's image too"):
        add_labels([given], plain)
    add_labels([given], plain, read_table(grid).identity)
    assert labels_of(plain) == {"r64_c96": 1}
    assert plain.read_text().splitlines()[0] == "tile,who,label"
    assert "r64_c96,me,1" in plain.read_text()
    plain.write_text("\n".join(["Tile, Label", *(f"{name}," for name in names)]) + "\n")
    add_labels([table(grid, tmp_path / "b.csv", {"r64_c96": 1})], plain, read_table(grid).identity)
    assert labels_of(plain) == {"r64_c96": 1} and plain.read_text().startswith("Tile, Label\n")


def test_missing_table_is_created(grid: Path, tmp_path: Path) -> None:
    add_labels([table(grid, tmp_path / "a.csv", {"r64_c96": 1})], tmp_path / "new.csv")
    assert labels_of(tmp_path / "new.csv") == {"r64_c96": 1}
    assert read_table(tmp_path / "new.csv").identity == read_table(grid).identity
    with pytest.raises(InputError, match=r"new.gpkg: is not there; make it first"):
        add_labels([tmp_path / "a.csv"], tmp_path / "new.gpkg")


# Another program that has the grid open as QGIS has it; it does what it is told, line by line, and answers each line.
OTHER_PROGRAM = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1], isolation_level=None)
for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
    base.create_function(name, 1, lambda _: 0)
for line in sys.stdin:
    print(base.execute(line).fetchall(), flush=True)
"""


def test_labels_are_added_while_another_program_has_the_grid_open_and_not_while_it_writes(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", OTHER_PROGRAM, str(grid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:

        def tell(line: str) -> str:
            program.stdin.write(line + "\n")
            program.stdin.flush()
            return program.stdout.readline().strip()

        assert tell("PRAGMA journal_mode=WAL") == "[('wal',)]"
        tell("UPDATE tiles SET label = 0 WHERE tile = 'r128_c0'")
        assert add_labels([table(grid, tmp_path / "a.csv", {"r64_c96": 1})], grid).kept == 1
        found = tell("SELECT tile, label FROM tiles WHERE label NOTNULL ORDER BY tile")
        assert found == "[('r128_c0', 0), ('r64_c96', 1)]"
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda path, **more: connect(path, **{**more, "timeout": 0.1}))
        tell("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match=r"cannot be written to .*leave the edit mode there"):
            add_labels([table(grid, tmp_path / "b.csv", {"r96_c96": 1})], grid)
        program.stdin.close()
        program.wait(20)


def test_rows_of_two_scenes_are_refused(grid: Path, tmp_path: Path) -> None:
    path = table(grid, tmp_path / "a.csv", {})
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1].replace("valley", "ridge", 1)
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"rows of several scenes 'ridge' and 'valley'"):
        read_table(path)


def test_another_tile_size_has_another_identity(tmp_path: Path, grid: Path) -> None:
    write_grid(tmp_path / "valley.tif", TileSettings(size=96, overlap=0.5), tmp_path / "wide.gpkg")
    assert read_table(tmp_path / "wide.gpkg").identity.mismatch(read_table(grid).identity).startswith("for tiles of 64")


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    image = write_scene(tmp_path / "valley.tif")
    inventory = tmp_path / "inventory.gpkg"
    gpd.GeoDataFrame(geometry=gpd.points_from_xy([500050], [3399950]), crs="EPSG:32647").to_file(inventory)
    before = inventory.read_bytes()
    with pytest.raises(InputError, match="inventory.gpkg: is no tile grid or label table and read here"):
        write_grid(image, SMALL, inventory, overwrite=True, labels=inventory)
    assert inventory.read_bytes() == before
    notes = tmp_path / "notes.csv"
    notes.write_text("what,where\nmine,here\n")
    with pytest.raises(InputError, match="notes.csv: is no tile grid or label table, so it is not replaced"):
        write_grid(image, SMALL, notes, overwrite=True)
    write_grid(image, SMALL, tmp_path / "grid.csv")
    write_grid(image, SMALL, tmp_path / "grid.csv", overwrite=True)


def test_labels_of_tiles_that_the_image_does_not_have_are_refused(tmp_path: Path) -> None:
    image, given = write_scene(tmp_path / "valley.tif"), tmp_path / "given.csv"
    given.write_text("tile,label\nfoo,1\nr0_c0,0\n")
    command = ["label", str(image), "--add", str(given), "-o", str(tmp_path / "new.csv"), "--settings"]
    with pytest.raises(InputError, match="has labels for 1 tile\\(s\\) that .* does not have, for example 'foo'"):
        CliRunner().invoke(app, [*command, SMALL.model_dump_json()], catch_exceptions=False)
    assert not (tmp_path / "new.csv").exists()
    given.write_text("tile,label\nr0_c0,0\n")
    assert CliRunner().invoke(app, [*command, SMALL.model_dump_json()], catch_exceptions=False).exit_code == 0
    assert len(read_table(tmp_path / "new.csv").labels) == 63, "a label table lists all tiles"


def test_only_labels_of_a_table_change(grid: Path, tmp_path: Path) -> None:
    names = list(read_table(grid).labels)
    (tmp_path / "data").mkdir()
    real, link = tmp_path / "data/old.csv", tmp_path / "old.csv"
    real.write_bytes(b"\xef\xbb\xbfTile,Label,note\r\n" + "".join(f"{name},,x\r\n" for name in names).encode())
    link.symlink_to(real)
    add_labels([table(grid, tmp_path / "a.csv", {"r64_c96": 1})], link, read_table(grid).identity)
    wanted = "".join(f"{name},{'1' if name == 'r64_c96' else ''},x\r\n" for name in names)
    assert link.is_symlink() and real.read_bytes() == b"\xef\xbb\xbfTile,Label,note\r\n" + wanted.encode()


def test_columns_that_identify_tiles_may_be_in_capitals(grid: Path, tmp_path: Path) -> None:
    identity = read_table(grid).identity
    other = tmp_path / "other.csv"
    other.write_text(f'Scene,Grid,Tile,Label\nridge,"{identity.text}",r64_c96,1\n')
    with pytest.raises(InputError, match="its labels are of the scene 'ridge'"):
        check_same_tiles(other, replace(identity, place="00000000"))
