"""`apsam label`, `apsam grid` and `apsam suggest` on the command line: outputs, and refused arguments."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from affine import Affine
from labelling_scenes import SMALL, TRANSFORM, on_map, write_layer, write_scene
from own_scenes import write_tiles
from rasters import write_raster
from shapely import Point, box
from typer.testing import CliRunner

from apsam.cli import app
from apsam.errors import InputError
from apsam.labelling.page import DATA, PAGE, map_matrix
from apsam.labelling.pictures import NO_DATA_GREY, PyramidWriter
from apsam.labelling.scene_tiles import raster_tiles, scene_name
from apsam.labelling.tables import read_table, write_table
from apsam.tiles.reader import SceneReader

TILES = ("--settings", SMALL.model_dump_json())


def run(*arguments: object) -> str:
    """Run a command and return its output. Errors are raised unchanged."""
    done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def scenes(folder: Path) -> list[dict]:
    text = (folder / DATA).read_text()
    return json.loads(text.removeprefix("window.APSAM_LABELLING=").removesuffix(";\n"))["scenes"]


@pytest.fixture
def valley(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "valley.tif")


def test_a_page_a_table_and_a_grid(valley: Path, tmp_path: Path) -> None:
    labels = write_layer(tmp_path / "polygons.gpkg", box(*on_map(140, 200), *on_map(160, 190)))
    said = run("label", valley, "-o", tmp_path / "page", "--labels", labels, *TILES)
    assert "valley: 62 tiles (1 more have too little data)" in said and "left empty" in said
    assert f"open {tmp_path / 'page/index.html'} in a browser" in said
    (scene,) = scenes(tmp_path / "page")
    assert len(scene["numbers"]) == len(scene["existing"]) == 62 and scene["tiles"] == 63
    assert (
        scene["existing"].count("1") > 0
        and scene["doubtful"]
        and scene["reasons"][scene["reason"][scene["doubtful"][0]]]
    )
    assert scene["shapes"][0][:2] == [140, 200] or [140, 200] in np.reshape(scene["shapes"][0], (-1, 2)).tolist()
    said = run("grid", valley, "-o", tmp_path / "grid.gpkg", "--from", labels, *TILES)
    assert "grid.gpkg: 63 tiles (1 of them have too little data for the run)" in said
    assert "grid.qgs: open it in QGIS" in said and "empty: the edge of the tile is within 2 m" in said
    there = read_table(tmp_path / "grid.gpkg")
    empty = next(name for name, label in there.labels.items() if label == 255 and name != "r0_c0")
    write_table(tmp_path / "valley_labels.csv", there.identity, [empty], [1])
    said = run("label", "--add", tmp_path / "valley_labels.csv", "-o", tmp_path / "grid.gpkg")
    assert "grid.gpkg: 1 label added, 0 there already" in said
    assert read_table(tmp_path / "grid.gpkg").labels[empty] == 1


def test_a_page_is_made_again_and_files_of_others_stay(valley: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    run("label", valley, "-o", page, *TILES)
    (page / "valley_labels.csv").write_text("mine")
    ridge = write_scene(tmp_path / "ridge.tif")
    run("label", ridge, "-o", page, *TILES)
    assert [scene["scene"] for scene in scenes(page)] == ["ridge"]
    assert not (page / "pictures/valley").exists() and (page / "pictures/ridge/0/0_0.jpg").exists()
    assert (page / "valley_labels.csv").read_text() == "mine"
    foreign = tmp_path / "site"
    foreign.mkdir()
    (foreign / PAGE).write_text("<html>mine</html>")
    with pytest.raises(InputError, match=r"index.html: already exists and is not of a label page"):
        run("label", valley, "-o", foreign, *TILES)
    assert (foreign / PAGE).read_text() == "<html>mine</html>"


def test_a_page_that_fails_leaves_the_one_that_was_there(valley: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    run("label", valley, "-o", page, *TILES)
    before = {file.relative_to(page): file.read_bytes() for file in page.rglob("*") if file.is_file()}
    (tmp_path / "labels.csv").write_text("tile,label\nr1_c1,1\n")
    with pytest.raises(InputError, match=r"labels.csv: has labels for 1 tile\(s\) that the scene does not have"):
        run("label", valley, "-o", page, "--labels", tmp_path / "labels.csv", *TILES)
    assert {file.relative_to(page): file.read_bytes() for file in page.rglob("*") if file.is_file()} == before


def test_labels_for_one_scene_of_several_and_names_of_the_run(valley: Path, tmp_path: Path) -> None:
    ridge = write_scene(tmp_path / "image 2021.tif")
    points = write_layer(tmp_path / "points.gpkg", Point(on_map(240, 200)))
    run("label", valley, f"ridge={ridge}", "-o", tmp_path / "page", "--labels", f"ridge={points}", *TILES)
    first, second = scenes(tmp_path / "page")
    assert (first["scene"], second["scene"], first["source"], second["source"]) == (
        "valley",
        "ridge",
        "",
        "points.gpkg",
    )
    with pytest.raises(InputError, match="'ridge' is not a scene of this page; they are valley"):
        run("label", valley, "-o", tmp_path / "page", "--labels", f"ridge={points}", *TILES)
    with pytest.raises(InputError, match="two scenes are called 'valley'"):
        run("label", valley, valley, "-o", tmp_path / "page", *TILES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "-o is missing"),
        (("-o", "page"), "name a scene to label"),
        (("none.tif", "-o", "page"), "none.tif: no such raster or folder of tiles"),
        (("--add", "a.csv", "-o", "g.gpkg", "--labels", "b.csv"), "--add is not; run the command twice"),
        (("--add", "a.csv", "-o", "g.csv"), "a.csv: no such label file"),
    ],
)
def test_invalid_arguments_are_refused(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run("label", *arguments)


def test_a_folder_of_tiles_becomes_a_mosaic_with_its_proportions(tmp_path: Path) -> None:
    write_tiles(tmp_path / "crops", 5, np.random.default_rng(0))
    tall = tmp_path / "crops/images/3.png"
    cv2.imwrite(str(tall), np.full((900, 300, 3), 200, np.uint8))
    run("label", f"crops={tmp_path / 'crops/images'}", "-o", tmp_path / "page")
    (scene,) = scenes(tmp_path / "page")
    assert scene["names"] == [f"{number}.png" for number in range(5)] and scene["grid"] == "files"
    assert scene["windows"][0] == [128, 128, 256, 256] and scene["windows"][3] == [512, 170, 512, 171]
    picture = cv2.imread(str(tmp_path / "page/pictures/crops/0/1_0.jpg"))
    assert abs(int(picture[256, 256].mean()) - 200) < 4 and abs(int(picture[256, 20].mean()) - NO_DATA_GREY) < 4


def test_levels_of_a_pyramid_are_the_picture_made_smaller(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Grey: JPEG keeps colours at half resolution.
    grey = cv2.resize(rng.integers(0, 255, (7, 9), np.uint8), (301, 203), interpolation=cv2.INTER_LINEAR)
    image = np.repeat(grey[..., None], 3, axis=2)
    valid = np.ones(image.shape[:2], np.uint8)
    valid[:64, :128] = 0
    writer = PyramidWriter(tmp_path / "p", *image.shape[:2], chunk=64)
    for top in range(0, 203, 64):
        writer.add(image[top : top + 64], valid[top : top + 64])
    writer.close()
    assert [(level.rows, level.cols) for level in writer.levels] == [(4, 5), (2, 3), (1, 2), (1, 1)]
    assert writer.levels[0].missing == [0, 1] and writer.levels[1].missing == []
    for number, level in enumerate(writer.levels):
        rows = []
        for row in range(level.rows):
            files = [tmp_path / f"p/{number}/{row}_{col}.jpg" for col in range(level.cols)]
            chunks = [cv2.imread(str(file)) if file.exists() else np.zeros((64, 64, 3), np.uint8) for file in files]
            rows.append(np.concatenate(chunks, axis=1))
        whole = np.concatenate(rows)[..., ::-1].astype(float)
        assert whole.shape[:2] == (-(-203 // 2**number), -(-301 // 2**number))
        wanted = cv2.resize(image, whole.shape[1::-1], interpolation=cv2.INTER_AREA).astype(float)
        known = slice(64 // 2**number + 1, None)
        assert np.abs(whole - wanted)[known].mean() < 6


@pytest.mark.parametrize(
    ("transform", "matrix"),
    [
        (TRANSFORM, [0.5, 0, 0, 0.5]),
        (Affine(0.5, 0, 500000, 0, 0.5, 3400000), [0.5, 0, 0, -0.5]),
        (Affine(0, 0.5, 500000, 0.5, 0, 3400000), [0, -0.5, 0.5, 0]),
    ],
)
def test_pictures_are_turned_north_up(tmp_path: Path, transform: Affine, matrix: list[float]) -> None:
    with SceneReader(write_scene(tmp_path / "a.tif", transform), SMALL) as reader:
        found = map_matrix(raster_tiles(reader, SMALL))
    assert found == pytest.approx(matrix, abs=3e-3)


def test_a_tile_in_degrees_is_as_wide_as_it_is_on_the_ground(tmp_path: Path) -> None:
    transform = Affine(5e-6, 0, 101, 0, -5e-6, 60)
    with SceneReader(write_scene(tmp_path / "a.tif", transform, "EPSG:4326"), SMALL) as reader:
        east, _, _, south = map_matrix(raster_tiles(reader, SMALL))
    assert south == pytest.approx(0.557, abs=2e-3) and east == pytest.approx(0.279, abs=2e-3)


def test_scene_names_are_valid_in_a_sheet() -> None:
    assert scene_name(Path("/data/São Paulo (2021).tif")) == "S_o_Paulo_2021"
    assert scene_name(Path("数据.tif")) == "scene"
    assert scene_name(Path("scene_A.tif")) == "scene_A"


def test_sixteen_bits_are_stretched_as_the_run_stretches_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = (np.kron(rng.integers(0, 30, (3, 16, 16)), np.ones((8, 8))) * 100 + 500).astype(np.uint16)
    write_raster(tmp_path / "deep.tif", values, "EPSG:32647", TRANSFORM)
    run("label", tmp_path / "deep.tif", "-o", tmp_path / "page", *TILES)
    picture = cv2.imread(str(tmp_path / "page/pictures/deep/0/0_0.jpg"))[..., ::-1].astype(int)
    with SceneReader(tmp_path / "deep.tif", SMALL) as reader:
        image = reader.read(0, 0, 128, 128)[0].transpose(1, 2, 0).astype(int)
    assert np.abs(picture - image).mean() < 12 and np.ptp(image) > 200
