"""The scene sheet, and the checks before a run."""

from __future__ import annotations

from datetime import date

import cv2
import geopandas as gpd
import numpy as np
import pytest
from rasterio.transform import from_origin
from rasters import write_raster
from shapely import Point

from apsam import inputs
from apsam.errors import InputError
from apsam.scenes import read_scene_sheet
from apsam.tiles.labels import read_label_table
from apsam.tiles.parts import TEST, TRAIN, parts_by_blocks
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.windows import tile_windows

HEAD = "scene\timage\tlabels\tmask\tsplit\n"


def sheet(folder, *rows, head=HEAD):
    path = folder / "scenes.tsv"
    path.write_text(head + "".join("\t".join(row) + "\n" for row in rows))
    return path


def raster(path, bands=3, crs="EPSG:32648", corner=(0, 0), side=200):
    return write_raster(path, np.ones((bands, side, side), np.uint8), crs, from_origin(*corner, 1, 1))


def test_kinds_and_paths(tmp_path):
    raster(tmp_path / "a.tif")
    (tmp_path / "tiles").mkdir()
    scenes = read_scene_sheet(
        sheet(
            tmp_path,
            ("# a comment",),
            ("a", "a.tif", "points.gpkg", "", "blocks"),
            ("b", "tiles", "labels.csv", "masks", "test"),
            ("c", "synthetic", "mask", "", "train"),
        )
    )
    assert [(s.name, s.kind, s.split) for s in scenes] == [
        ("a", "raster", "blocks"),
        ("b", "folder", "test"),
        ("c", "synthetic", "train"),
    ]
    assert scenes[0].image == tmp_path / "a.tif" and scenes[0].mask is None
    elsewhere = read_scene_sheet(sheet(tmp_path, ("a", "a.tif", "l.csv", "", "train")), data_dir=tmp_path / "x")
    assert elsewhere[0].image == tmp_path / "x" / "a.tif"


def test_the_date_of_an_image(tmp_path):
    head = HEAD.replace("split", "split\tdate")
    row = ("a", "a.tif", "points.gpkg", "", "train")
    scenes = read_scene_sheet(sheet(tmp_path, (*row, "2021-08-01"), ("b", *row[1:]), head=head))
    assert [scene.taken for scene in scenes] == [date(2021, 8, 1), None]
    with pytest.raises(InputError, match="date '1.8.21' is not written like 2026-07-31"):
        read_scene_sheet(sheet(tmp_path, (*row, "1.8.21"), head=head))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a b", "a.tif", "l.csv", "", "train"), "letters, digits"),
        (("a", "a.tif", "l.csv", "", "valid"), "split 'valid' is none of"),
        (("a", "a.tif", "mask", "", "train"), "no mask is given"),
        (("a", "a.tif", "", "", "train"), "must be given"),
        (("a", "synthetic", "l.csv", "", "train"), "synthetic scene has labels 'mask'"),
        (("a", "a.tif", "l.csv", "", "test"), "no scene trains"),
    ],
)
def test_rows_that_make_no_sense(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        read_scene_sheet(sheet(tmp_path, row))


def test_sheets_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no such scene sheet"):
        read_scene_sheet(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="separated by tabs"):
        read_scene_sheet(sheet(tmp_path, head="scene,image,labels,mask,split\n"))
    with pytest.raises(InputError, match="lists no scene"):
        read_scene_sheet(sheet(tmp_path))
    row = ("a", "a.tif", "l.csv", "", "train")
    with pytest.raises(InputError, match="used twice"):
        read_scene_sheet(sheet(tmp_path, row, row))


def test_sheets_and_tables_of_a_spreadsheet(tmp_path):
    path = sheet(tmp_path, ("größe", "a.tif", "l.csv", "", "train"), head="\ufeff" + HEAD)
    with pytest.raises(InputError, match="scene 1 .'größe'.: a scene's name is made of"):
        read_scene_sheet(path)
    (tmp_path / "l.csv").write_text("tile,label\nx.png,1\n", encoding="utf-8-sig")
    assert read_label_table(tmp_path / "l.csv") == {"x.png": 1}
    path = sheet(tmp_path, ("a", "a.tif", "l.csv", "", "train", "", ""), head="\ufeff" + HEAD)
    assert read_scene_sheet(path)[0].name == "a"
    for encoding, look in (("latin-1", "Latin-1"), ("utf-16", "UTF-16")):
        path.write_text(HEAD + "größe", encoding=encoding)
        with pytest.raises(InputError, match=f"scenes.tsv: is not UTF-8 .*{look}; save it as UTF-8"):
            read_scene_sheet(path)
        (tmp_path / "l.csv").write_text("tile,label\ngröße.png,1\n", encoding=encoding)
        with pytest.raises(InputError, match=f"l.csv: is not UTF-8 .*{look}"):
            read_label_table(tmp_path / "l.csv")


def test_names_of_columns_and_words_in_any_case(tmp_path):
    folder = sheet(
        tmp_path, ("a", "a.tif", "Mask", "m.tif", "Train", "1"), ("b", "SYNTHETIC", "MASK", "", "TEST", ""),
        head=" Scene \tIMAGE\tLabels\tMask\tSPLIT\tMask_Values\n",
    )  # fmt: skip
    first, second = read_scene_sheet(folder)
    assert (first.labels, first.mask, first.split, first.mask_values) == (None, tmp_path / "m.tif", "train", "1")
    assert (second.kind, second.split) == ("synthetic", "test")
    for name, near in (("label", "labels"), ("splt", "split")):
        head = HEAD.replace(near, name)
        with pytest.raises(InputError, match=rf"it is \[.*\]; did you mean '{near}' for '{name}'\?"):
            read_scene_sheet(sheet(tmp_path, head=head))
    with pytest.raises(InputError, match="did you mean 'mask_values' for 'mask values'"):
        read_scene_sheet(sheet(tmp_path, head=HEAD.replace("\n", "\tmask values\n")))
    with pytest.raises(InputError, match="the first line must be"):  # a column twice
        read_scene_sheet(sheet(tmp_path, head=HEAD.replace("\n", "\tdate\tDate\n")))


def test_columns_are_separated_by_tabs(tmp_path):
    good = "\t".join(("a", "a.tif", "l.csv", "", "train")) + "\n"
    for row, width in (("b  b.tif  l.csv  m.tif  train\n", "1 column "), ("b\tb.tif\tl.csv train\n", "3 columns ")):
        path = sheet(tmp_path, head="# scenes\n\n" + HEAD + good + row)
        with pytest.raises(
            InputError, match=f"scenes.tsv, line 5 has {width}instead of 5 .*; separate columns with tabs"
        ):
            read_scene_sheet(path)
    with pytest.raises(InputError, match="line 2 has 6 columns instead of 5"):
        read_scene_sheet(sheet(tmp_path, ("a", "a.tif", "l.csv", "", "train", "2021-08-01")))


def check_all(folder, *rows, **settings):
    split, size = settings.pop("split", SplitSettings()), settings.pop("size", 64)
    labels = LabelSettings(**settings)
    inputs.check(read_scene_sheet(sheet(folder, *rows)), TileSettings(size=size), labels, split)


def check(folder, *row, **settings):
    check_all(folder, row, **settings)


def test_rasters_are_checked_before_work(tmp_path):
    with pytest.raises(InputError, match="no such file; .* 'data_dir', or, where it has none, at the sheet's folder"):
        check(tmp_path, "a", "none.tif", "l.csv", "", "train")
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(InputError, match="not a raster"):
        check(tmp_path, "a", "text.tif", "l.csv", "", "train")
    raster(tmp_path / "one.tif", bands=1)
    with pytest.raises(InputError, match=r"1 band\(s\)"):
        check(tmp_path, "a", "one.tif", "l.csv", "", "train")
    raster(tmp_path / "nowhere.tif", crs=None)
    with pytest.raises(InputError, match="no coordinate reference system"):
        check(tmp_path, "a", "nowhere.tif", "l.csv", "", "train")
    raster(tmp_path / "local.tif", crs='LOCAL_CS["mine",UNIT["metre",1]]')
    with pytest.raises(InputError, match="'mine' is a local one .* assign the right one"):
        check(tmp_path, "a", "local.tif", "l.csv", "", "train")
    raster(tmp_path / "good.tif")
    with pytest.raises(InputError, match="no such mask"):
        check(tmp_path, "a", "good.tif", "mask", "m.tif", "train")
    with pytest.raises(InputError, match="no such vector layer"):
        check(tmp_path, "a", "good.tif", "p.gpkg", "", "train")


def test_label_tables_are_checked_before_work(tmp_path):
    (tmp_path / "tiles").mkdir()
    for name in ("x.png", "y.png"):
        cv2.imwrite(str(tmp_path / "tiles" / name), np.zeros((8, 8, 3), np.uint8))
    table = tmp_path / "l.csv"
    for text, message in [
        ("tile,label\nx.png,1\nz.png,0\n", "do not exist, for example 'z.png'"),
        ("tile,label\n", "a label table without any label"),
        ("tile;label\nx.png;1\n", "separated by semicolons"),
        ("tile,label\nx.png,1\ny.png,2\n", "line 3: label '2'"),
        ("tile,label\nx.png,1\nx.png,1\n", "listed twice"),
        ("a,b\n", "needs the columns"),
        ("tile,label\nx.png,1\ny.png,1\n", "labelled negative"),
        ("tile,label\nx.png,0\ny.png,0\n", "labelled positive"),
    ]:
        table.write_text(text)
        with pytest.raises(InputError, match=message):
            check(tmp_path, "a", "tiles", "l.csv", "", "train")


def test_ready_made_tiles_are_checked_before_work(tmp_path):
    for kind in ("tiles", "masks"):
        (tmp_path / kind).mkdir()
        for name in ("x.png", "y.png"):
            cv2.imwrite(str(tmp_path / kind / name), np.zeros((8, 9, 3), np.uint8))
    (tmp_path / "l.csv").write_text("tile,label\nx.png,1\ny.png,0\n")
    row = ("a", "tiles", "l.csv", "masks", "train")
    check(tmp_path, *row)
    cv2.imwrite(str(tmp_path / "masks" / "y.png"), np.zeros((9, 8), np.uint8))
    with pytest.raises(InputError, match="y.png: is 8 x 9 px, its image 9 x 8"):
        check(tmp_path, *row)
    (tmp_path / "masks" / "y.png").unlink()  # labelled negative, so that it needs none
    check(tmp_path, *row)
    (tmp_path / "masks" / "x.png").unlink()
    with pytest.raises(InputError, match="masks: has no mask for the tile x.png"):
        check(tmp_path, *row)
    cv2.imwrite(str(tmp_path / "masks" / "x.png"), np.zeros((8, 9), np.uint8))
    cv2.imwrite(str(tmp_path / "tiles" / "x.png"), np.zeros((8, 9, 3), np.uint16))
    with pytest.raises(InputError, match="x.png: is uint16, ready-made tiles must be 8 bit"):
        check(tmp_path, *row)


def layer(path, points, crs="EPSG:32648", radius=0, **columns):
    shapes = [Point(point).buffer(radius) if radius else Point(point) for point in points]
    gpd.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path)


def test_a_layer_must_touch_a_scene_that_uses_it(tmp_path):
    for name, corner in (("a", (500000, 3000000)), ("b", (600000, 3000000))):
        raster(tmp_path / f"{name}.tif", corner=corner)
    rows = [(name, f"{name}.tif", "p.gpkg", "", "train") for name in "ab"]
    inside = (600010, 2999990)
    layer(tmp_path / "p.gpkg", [inside])
    check_all(tmp_path, *rows)  # a scene without landslides is fine
    with pytest.raises(
        InputError, match=r"p.gpkg: touches no scene .* UTM zone 48N: 600010 to 600010, 2999990 to .*a.tif \(WGS"
    ):
        check_all(tmp_path, rows[0])
    # Also as a mask, and where a layer of another CRS is meant.
    degrees = gpd.GeoSeries([Point(inside)], crs="EPSG:32648").to_crs(4326)[0]
    layer(tmp_path / "p.gpkg", [degrees.coords[0]], crs="EPSG:4326")
    layer(tmp_path / "wrong.gpkg", [degrees.coords[0]], radius=1)
    check_all(tmp_path, *rows)
    for columns in (("wrong.gpkg", ""), ("p.gpkg", "wrong.gpkg"), ("mask", "wrong.gpkg")):
        with pytest.raises(InputError, match="wrong.gpkg: touches no scene that uses it"):
            check(tmp_path, "b", "b.tif", *columns, "train")
    layer(tmp_path / "near.gpkg", [(600010, 3000050)])
    with pytest.raises(InputError, match="near.gpkg: touches no scene"):
        check(tmp_path, "b", "b.tif", "near.gpkg", "", "train")
    check(tmp_path, "b", "b.tif", "near.gpkg", "", "train", buffer_m=60)
    # On the other side of the earth nothing of the scene has a place.
    layer(tmp_path / "wrong.gpkg", [inside], crs="EPSG:32718")
    with pytest.raises(InputError, match="wrong.gpkg: touches no scene"):
        check(tmp_path, "b", "b.tif", "wrong.gpkg", "", "train")


def test_a_scene_over_the_antimeridian(tmp_path):
    raster(tmp_path / "a.tif", crs="EPSG:3832", corner=(3339584.7 - 100, 0))
    for longitude in (179.9999, -179.9999, 180.0001):
        layer(tmp_path / "p.gpkg", [(longitude, -0.0003)], crs="EPSG:4326")
        check(tmp_path, "a", "a.tif", "p.gpkg", "", "train")
    layer(tmp_path / "p.gpkg", [(0, -0.0003)], crs="EPSG:4326")
    with pytest.raises(InputError, match="p.gpkg: touches no scene"):
        check(tmp_path, "a", "a.tif", "p.gpkg", "", "train")


def test_layers_without_labels(tmp_path):
    raster(tmp_path / "a.tif")
    layer(tmp_path / "p.gpkg", [])
    with pytest.raises(InputError, match="p.gpkg: the layer has no feature"):
        check(tmp_path, "a", "a.tif", "p.gpkg", "", "train")
    layer(tmp_path / "q.gpkg", [(1, -1)])
    check(tmp_path, "a", "a.tif", "q.gpkg", "p.gpkg", "train")
    layer(tmp_path / "p.gpkg", [(1, -1)], crs=None)
    with pytest.raises(InputError, match="p.gpkg: the layer has no coordinate reference system"):
        check(tmp_path, "a", "a.tif", "p.gpkg", "", "train")
    (tmp_path / "p.gpkg").write_text("no layer")
    with pytest.raises(InputError, match="p.gpkg: not a vector layer"):
        check(tmp_path, "a", "a.tif", "p.gpkg", "", "train")
    # A grid labelled in a GIS speaks by the names of tiles.
    layer(tmp_path / "g.gpkg", [(9, 9), (8, 8)], tile=["r0_c0", "r0_c38"], label=[1, 0])
    check(tmp_path, "a", "a.tif", "g.gpkg", "", "train")


@pytest.mark.parametrize(("side", "fits"), [(700, 466), (1000, 666), (1151, 767)])
def test_a_scene_that_is_one_block_cannot_be_divided(tmp_path, side, fits):
    raster(tmp_path / "a.tif", side=side)
    layer(tmp_path / "p.gpkg", [(1, -1)])
    row = ("a", "a.tif", "p.gpkg", "", "blocks")
    with pytest.raises(InputError, match=f"a.tif: .* is one block, .* set split.block to {fits} or less"):
        check(tmp_path, *row, size=256)
    check(tmp_path, *row, split=SplitSettings(block=fits), size=256)
    parts = parts_by_blocks(tile_windows(side, side, 256, 154), side, side, SplitSettings(block=fits, test_share=0.95))
    assert {TRAIN, TEST} <= set(parts.tolist()), "not all blocks are held out"


def test_a_scene_too_small_to_be_divided(tmp_path):
    raster(tmp_path / "a.tif", side=400)
    layer(tmp_path / "p.gpkg", [(1, -1)])
    with pytest.raises(InputError, match="too small for tiles of 256 px to be divided: give another scene"):
        check(tmp_path, "a", "a.tif", "p.gpkg", "", "blocks", size=256)
