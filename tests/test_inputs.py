"""Valid but unusual inputs: the check and the job read them in the same way."""

from __future__ import annotations

import json
import re
import sqlite3
import struct
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from given_inputs import (
    LEFT,
    SIDE,
    SLIDE,
    TOP,
    UTM,
    Given,
    drawn,
    given,
    gpx,
    in_degrees,
    kml,
    layer,
    pixels,
    write,
    zipped,
)
from PIL import Image
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from shapely import GeometryCollection, LineString, Point, box
from shapely.affinity import translate

from apsam.datums import datum_shift, proj_crs
from apsam.errors import ConfigError, InputError
from apsam.products.elevations import open_elevations
from apsam.reference_mask import ReferenceMaskReader
from apsam.scenes import tile_files
from apsam.tiles.decimated import column_groups, sampled_lines
from apsam.tiles.mask_folder import MaskFolder
from apsam.tiles.mask_values import NO_DATA, Sample, find_rule
from apsam.tiles.mask_values_column import parse_mask_values
from apsam.tiles.parts import NEITHER, TRAIN
from apsam.tiles.reader import SceneReader
from apsam.tiles.ready_made import hides_pixels, image_size, read_tile_image
from apsam.tiles.ready_made_masks import read_tile_mask
from apsam.tiles.settings import TileSettings
from apsam.vectors.layers import is_vector, split_layer
from apsam.vectors.place import degrees
from apsam.vectors.read import read_layer

# Windows of 64 px that the landslide of rows 20 to 40 and columns 20 to 50 touches.
POSITIVE = {(0, 0), (0, 38), (38, 0), (38, 38)}
EXPECTED = (drawn()[0] == 1).astype(np.uint8)


def positive(one: Given) -> set[tuple[int, int]]:
    """Tiles that the job labels positive; the check counts as many."""
    found = {place for place, label in one.tile()["at"].items() if label}
    assert one.check().scenes[0].positive == len(found)
    return found


# --- layers ---------------------------------------------------------------------------------------------------------


def parts(folder: Path) -> tuple[Path, ...]:
    layer(folder / "inv.shp", SLIDE)
    return tuple(folder / f"inv.{ending}" for ending in ("shp", "dbf", "shx", "prj"))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.gpkg", lambda p: layer(p, SLIDE)),
        ("x.geojson", lambda p: layer(p, SLIDE)),
        ("x.fgb", lambda p: layer(p, SLIDE)),
        ("x.shp", lambda p: layer(p, SLIDE)),
        ("x.gml", lambda p: layer(p, SLIDE)),
        ("x.parquet", lambda p: gpd.GeoDataFrame(geometry=[SLIDE], crs=UTM).to_parquet(p)),
        ("x.gdb", lambda p: gpd.GeoDataFrame({"a": [1]}, geometry=[SLIDE], crs=UTM).to_file(p, driver="OpenFileGDB")),
        ("x.zip", lambda p: zipped(p, *parts(p.parent))),
        ("x.kml", lambda p: kml(p, SLIDE)),
        ("x.kmz", lambda p: zipped(p, kml(p.with_name("doc.kml"), SLIDE))),
        ("x.gpx", lambda p: gpx(p, track=LineString(SLIDE.exterior.coords))),
    ],
)
def test_kinds_of_layers(tmp_path: Path, name: str, make) -> None:
    make(tmp_path / name)
    assert is_vector(tmp_path / name)
    assert positive(given(tmp_path, labels=name)) == POSITIVE


def test_a_virtual_layer_and_a_ring_that_is_not_closed(tmp_path: Path) -> None:
    layer(tmp_path / "b.gpkg", SLIDE, name="b")
    source = f'<OGRVRTLayer name="b"><SrcDataSource>{tmp_path}/b.gpkg</SrcDataSource></OGRVRTLayer>'
    (tmp_path / "x.vrt").write_text(f"<OGRVRTDataSource>{source}</OGRVRTDataSource>")
    assert positive(given(tmp_path, labels="x.vrt")) == POSITIVE
    ring = [list(spot) for spot in in_degrees(SLIDE).exterior.coords][:-1]
    (tmp_path / "x.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert positive(given(tmp_path, labels="x.geojson")) == POSITIVE


def test_the_layer_that_is_named_is_read(tmp_path: Path) -> None:
    layer(tmp_path / "two.gpkg", box(LEFT, TOP - SIDE, LEFT + SIDE, TOP), name="study_area")
    layer(tmp_path / "two.gpkg", SLIDE, name="landslides")
    one = given(tmp_path, labels="two.gpkg|layername=landslides", mask="two.gpkg|layername=landslides")
    assert positive(one) == POSITIVE
    scene = one.scenes()[0]
    assert scene.labels == tmp_path / "two.gpkg" and scene.labels_layer == "landslides"
    assert split_layer(scene.mask_source) == (tmp_path / "two.gpkg", "landslides")
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as reader,
        ReferenceMaskReader(scene.mask_source, reader) as reference,
    ):
        assert (reference.read(0, 0, SIDE, SIDE) == 1).sum() == 600
    layer(tmp_path / "one.gpkg", name="empty")
    layer(tmp_path / "one.gpkg", SLIDE, name="landslides")
    assert positive(given(tmp_path, labels="one.gpkg")) == POSITIVE, "a layer without features does not count"


def test_landslides_with_the_columns_of_a_grid_are_no_grid(tmp_path: Path) -> None:
    layer(tmp_path / "p.gpkg", SLIDE, translate(SLIDE, 5), tile=["48RUP", "48RUP"], label=[1, 1])
    assert positive(given(tmp_path, labels="p.gpkg")) == POSITIVE


def test_a_grid_of_other_tiles_is_never_read_as_landslides(tmp_path: Path) -> None:
    layer(tmp_path / "p.gpkg", SLIDE, translate(SLIDE, 5), tile=["A0", "A1"], label=[1, None])
    with pytest.raises(InputError, match="has labels for 2 tile"):
        given(tmp_path, labels="p.gpkg").tile()


@pytest.mark.parametrize("kind", [["", "1"], [2, 0], ["debris flow", "rock fall"], ["yes", "yes"], ["NO", "SE"]])
def test_labels_of_landslides_may_say_more(tmp_path: Path, kind: list) -> None:
    layer(tmp_path / "p.gpkg", SLIDE, translate(SLIDE, 5), label=kind)
    assert positive(given(tmp_path, labels="p.gpkg")) == POSITIVE


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("class_id", [0, 0]),
        ("class", ["debris flow", "landslide"]),
        ("type", ["landslide", "road"]),
        ("label", [1, 2]),
        ("value", [0.5, 1]),
        ("value", [12, 340]),
        ("class", ["landslide", "complex"]),
        ("class", ["translational", "rotational landslide"]),
        ("class", ["landslide (high confidence)", "low confidence"]),
        ("category", ["NO", "NO"]),
    ],
)
def test_columns_of_landslides_without_other_classes(tmp_path: Path, column: str, values: list) -> None:
    layer(tmp_path / "p.gpkg", SLIDE, translate(SLIDE, 5), **{column: values})
    assert not given(tmp_path, labels="p.gpkg").check().warnings


def test_warnings_about_classes_and_colours_are_repeated_by_a_second_check(tmp_path: Path) -> None:
    layer(tmp_path / "p.gpkg", SLIDE, translate(SLIDE, 5), **{"class": [1, 2]})
    colours = np.zeros((3, SIDE, SIDE), np.uint8)
    colours[0, 20:40, 20:50] = colours[1, 100:110, 100:110] = 128
    write(tmp_path / "m.tif", colours)
    found = given(tmp_path, labels="p.gpkg", mask="m.tif")
    first, second = found.check().warnings, found.check().warnings
    assert first == second
    assert any("column 'class'" in warning for warning in first) and any("2 colours" in warning for warning in first)


def test_folders_of_a_kml_are_read_together(tmp_path: Path) -> None:
    kml(tmp_path / "x.kml", SLIDE, translate(SLIDE, 90, -90))
    assert positive(given(tmp_path, labels="x.kml")) == POSITIVE | {(96, 96), (76, 76), (96, 76), (76, 96)}


def test_a_zip_of_several_shapefiles_needs_a_name(tmp_path: Path) -> None:
    first = parts(tmp_path)
    layer(tmp_path / "area.shp", box(LEFT, TOP - SIDE, LEFT + SIDE, TOP))
    zipped(tmp_path / "x.zip", *first, *(tmp_path / f"area.{end}" for end in ("shp", "dbf", "shx", "prj")))
    with pytest.raises(Exception, match="2 layers with features: .*inv .*area"):
        given(tmp_path, labels="x.zip").check()
    assert positive(given(tmp_path, labels="x.zip|layername=inv")) == POSITIVE


def test_file_name_with_a_bar(tmp_path: Path) -> None:
    layer(tmp_path / "a|b.gpkg", SLIDE)
    assert positive(given(tmp_path, labels="a|b.gpkg")) == POSITIVE


def test_self_intersecting_outline_is_repaired(tmp_path: Path) -> None:
    from shapely import Polygon

    at = [(LEFT + x, TOP - y) for x, y in ((5, 5), (145, 155), (155, 145), (5, 15))]
    layer(tmp_path / "x.gpkg", Polygon(at))
    narrow = positive(given(tmp_path, labels="x.gpkg"))
    one = given(tmp_path, labels="x.gpkg")
    one.labels = {"buffer_m": 5}
    broad = positive(one)
    assert narrow and narrow <= broad and read_layer(tmp_path / "x.gpkg").geometry.is_valid.all()


def test_a_frame_around_the_earth_covers_the_scene(tmp_path: Path) -> None:
    layer(tmp_path / "p.geojson", box(-180, -90, 180, 90), crs=4326)
    layer(tmp_path / "q.geojson", box(70, 10, 140, 60), crs=4326)
    for name in ("p.geojson", "q.geojson"):
        assert len(positive(given(tmp_path, labels=name))) == 16
        assert given(tmp_path, labels="mask", mask=name).check().scenes[0].mask_share == 1


def test_lines_in_a_collection_are_no_part_of_a_mask(tmp_path: Path) -> None:
    line = LineString([(LEFT, TOP - 100), (LEFT + 100, TOP - 100)])
    layer(tmp_path / "p.gpkg", GeometryCollection([SLIDE, line]))
    assert given(tmp_path, labels="mask", mask="p.gpkg").check().scenes[0].mask_share == 600 / SIDE**2


def test_a_closed_line_is_the_outline_of_an_area(tmp_path: Path) -> None:
    area = box(LEFT + 2, TOP - 158, LEFT + 158, TOP - 2)
    layer(tmp_path / "p.gpkg", LineString(area.exterior.coords))
    assert len(positive(given(tmp_path, labels="p.gpkg"))) == 16, "tiles within it too"
    half = LineString(list(area.exterior.coords)[:-1])
    layer(tmp_path / "q.gpkg", half)
    assert (38, 38) not in positive(given(tmp_path, labels="q.gpkg")), "an open line is a line"


def test_a_crs_with_its_own_shift_is_shifted_and_nothing_is_said(tmp_path: Path) -> None:
    own = "+proj=utm +zone=48 +ellps=krass +towgs84=24,-123,-94,0.02,-0.25,-0.13,1.1 +units=m"
    gpd.GeoDataFrame(geometry=[SLIDE], crs=UTM).to_crs(own).to_parquet(tmp_path / "p.parquet")
    one = given(tmp_path, labels="p.parquet")
    assert positive(one) == POSITIVE and not one.check().warnings


def test_an_edge_on_a_tiles_edge_is_not_in_the_tile(tmp_path: Path) -> None:
    # Without overlap tiles begin at 0, 64 and 96: the polygon ends exactly where those of column 64 begin.
    layer(tmp_path / "x.gpkg", box(LEFT + 20, TOP - 40, LEFT + 64, TOP - 20))
    one = given(tmp_path, labels="x.gpkg", tiles={"overlap": 0})
    assert positive(one) == {(0, 0)}
    layer(tmp_path / "y.gpkg", Point(LEFT + 64, TOP - 20))
    assert positive(given(tmp_path, labels="y.gpkg", tiles={"overlap": 0})) == {(0, 0), (0, 64)}


# --- tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("yes", ["1", "1.0", "True", "true", " 1 "])
def test_labels_as_programs_write_them(tmp_path: Path, yes: str) -> None:
    (tmp_path / "l.csv").write_text(f"Tile,LABEL,who\nr0_c0,{yes},me\nr0_c38,0.0,me\nr38_c0,,me\n")
    found = given(tmp_path, labels="l.csv").tile()
    used = {
        place: label for (place, label), part in zip(found["at"].items(), found["part"], strict=True) if part == TRAIN
    }
    assert used == {(0, 0): 1, (0, 38): 0}


# --- datums ---------------------------------------------------------------------------------------------------------


def test_a_datum_without_a_direct_transformation_is_shifted(tmp_path: Path) -> None:
    to_67, to_utm = (Transformer.from_crs(3826, target, always_xy=True) for target in (3828, 32651))
    x, y = to_utm.transform(250000, 2650000)
    write(tmp_path / "a.tif", pixels(), crs="EPSG:32651", transform=from_origin(x - 80, y + 80, 1, 1))
    spot = Point(to_67.transform(250000, 2650000)).buffer(8, cap_style="square")
    layer(tmp_path / "x.gpkg", spot, translate(spot, 3000, 3000), crs=3828)
    layer(tmp_path / "right.gpkg", Point(x, y).buffer(8, cap_style="square"), crs=32651)
    assert positive(given(tmp_path, labels="x.gpkg")) == positive(given(tmp_path, labels="right.gpkg"))
    x67, y67 = to_67.transform(250000, 2650000)
    values = np.zeros((1, 400, 400), np.uint8)
    values[0, 190:210, 190:210] = 1
    write(tmp_path / "m.tif", values, crs="EPSG:3828", transform=from_origin(x67 - 200, y67 + 200, 1, 1))
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as reader,
        ReferenceMaskReader(tmp_path / "m.tif", reader) as reference,
    ):
        rows, cols = np.nonzero(reference.read(0, 0, SIDE, SIDE) == 1)
    assert len(rows) == pytest.approx(400, abs=12)
    assert (rows.mean(), cols.mean()) == pytest.approx((79.5, 79.5), abs=1)
    assert any("by way of TWD97" in warning for warning in given(tmp_path, labels="x.gpkg").check().warnings)


@pytest.mark.parametrize(
    ("source", "target", "place", "says"),
    [
        ("EPSG:4490", "EPSG:4326", (100, 30, 101, 31), None),  # CGCS2000: no transformation, but the same within 1 m
        ("EPSG:26910", "EPSG:32610", (-124, 37, -121, 39), None),
        ("EPSG:31287", "EPSG:32633", (13, 47, 14, 48), None),
        ("EPSG:2343", "EPSG:32648", (102, 27, 104, 29), "no transformation from Xian 1980"),
        ("EPSG:30169", "EPSG:6677", (139, 35, 140, 36), "by way of WGS 84"),
        ("EPSG:26710", "EPSG:26910", (-124, 37, -121, 39), "from NAD27 to NAD83 here; .* shifted by way of"),
        ("EPSG:27572", "EPSG:2154", (5, 45, 6, 46), "from NTF .Paris. to RGF93"),  # grads, from Paris
        # PROJ calls its guess between other meridians "Transformation from ...", of accuracy 0.
        ("EPSG:4806", "EPSG:4326", (9, 45, 10, 46), "by way of Monte Mario .* good to 4 m"),
    ],
)
def test_datum_shifts(source: str, target: str, place, says: str | None) -> None:
    source, target = (proj_crs(rasterio.crs.CRS.from_string(crs).to_wkt()) for crs in (source, target))
    shift = datum_shift(source, target, place)
    assert (shift.note is None) if says is None else re.search(says, shift.note or "")


MERCATOR = "+proj=tmerc +lat_0=0 +lon_0=104.3 +x_0=500000 +units=m"


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("+ellps=krass", "+datum=WGS84", "from an unnamed datum on the ellipsoid Krass.* to World Geodetic System"),
        ("+ellps=intl", "+ellps=krass", "assign the CRS that names its datum"),
        ("+datum=NAD27", "+ellps=clrk66", "from North American Datum 1927 to an unnamed datum"),
        # Nothing that is known differs, or the ellipsoid says that the datum is modern.
        ("+ellps=krass", "+ellps=krass +lon_0=105", None),
        ("+ellps=krass", "+ellps=krass +pm=ferro", None),
        ("+ellps=WGS84", "+datum=WGS84", None),
        ("+a=6378160 +rf=298.2472", "+a=6378160 +rf=298.25", None),  # of SAD69, written with other digits
        ("+ellps=GRS80", "+ellps=WGS84", None),
        ("+datum=NAD27", "+datum=NAD27 +lon_0=105", None),
    ],
)
def test_datums_of_hand_written_crss(source: str, target: str, says: str | None) -> None:
    one, other = (CRS(f"{MERCATOR} {more}") for more in (source, target))
    for written in (one, CRS.from_wkt(one.to_wkt("WKT1_ESRI"))):  # a Shapefile's
        note = datum_shift(written, other, (104, 27, 105, 28)).note
        assert (note is None) if says is None else re.search(says, note or "")


@pytest.mark.parametrize("crs", ["EPSG:27572", "EPSG:4807", "EPSG:2065"])
def test_other_meridians_and_grads(tmp_path: Path, crs: str) -> None:
    # Paris, in metres and in grads; Ferro. Its place decides on datum shifts and on ground that scenes share.
    place = (15.0, 50.0) if crs == "EPSG:2065" else (6.0, 45.0)
    target = proj_crs(rasterio.crs.CRS.from_string(crs).to_wkt())
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(*place)
    step = 1e-5 if target.is_geographic else 1.0
    write(tmp_path / "a.tif", pixels(), crs=crs, transform=from_origin(x, y, step, step))
    bounds = (x, y - SIDE * step, x + SIDE * step, y)
    assert degrees(target, bounds) == pytest.approx((*place, *place), abs=0.02)
    layer(tmp_path / "p.gpkg", box(x + 20 * step, y - 40 * step, x + 50 * step, y - 20 * step), crs=crs)
    one = given(tmp_path, labels="p.gpkg")
    assert positive(one) == POSITIVE
    to_utm = Transformer.from_crs(target, "EPSG:32632", always_xy=True)
    left, top = to_utm.transform(x + 40 * step, y - 40 * step)
    write(tmp_path / "b.tif", pixels(seed=1), crs="EPSG:32632", transform=from_origin(left, top, 1, 1))
    layer(tmp_path / "q.gpkg", Point(left + 9, top - 9).buffer(4), crs=32632)
    one.rows.append(("b", "b.tif", "q.gpkg", "", "test"))
    with pytest.raises(InputError, match="show the same ground"):
        one.check()


# --- masks ----------------------------------------------------------------------------------------------------------


def with_palette(colours: dict[int, tuple[int, int, int, int]], swap: bool = False):
    def make(path: Path) -> None:
        write(path, 1 - drawn() if swap else drawn())
        with rasterio.open(path, "r+") as raster:
            raster.write_colormap(1, colours)

    return make


WHITE, BLACK, RED = (255, 255, 255, 255), (0, 0, 0, 255), (255, 0, 0, 255)
JPEG = {"compress": "JPEG", "tiled": True, "blockxsize": 64, "blockysize": 64}
MASKS = {
    "0 and 1": (lambda p: write(p, drawn()), ""),
    "254": (lambda p: write(p, drawn(254)), ""),
    "255": (lambda p: write(p, drawn(255)), ""),
    "7 of 16 bit": (lambda p: write(p, drawn(7, dtype="uint16")), ""),
    "65535": (lambda p: write(p, drawn(65535, dtype="uint16")), ""),
    "float": (lambda p: write(p, drawn(1, dtype="float32")), ""),
    "red": (lambda p: write(p, np.concatenate([drawn(200), drawn(0), drawn(0)])), ""),
    "red in JPEG": (
        lambda p: write(p, np.concatenate([drawn(230), drawn(25), drawn(0)]), photometric="YCBCR", **JPEG),
        "",
    ),
    "white in JPEG 2000": (
        lambda p: write(p, drawn(255), driver="JP2OpenJPEG", QUALITY="10", REVERSIBLE="NO"),
        "",
    ),
    "0 and 1 in JPEG 2000 without losses": (
        lambda p: write(p, drawn(), driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES"),
        "",
    ),
    "0 and 1 in LERC without losses": (lambda p: write(p, drawn(), compress="LERC"), ""),
    "grey specks in LERC": (lambda p: write(p, specks(), compress="LERC"), ""),
    "white in JPEG": (lambda p: write(p, drawn(255), **JPEG), ""),
    "palette, 0 black": (with_palette({0: BLACK, 1: RED}), ""),
    "palette, 0 transparent": (with_palette({0: (0, 0, 0, 0), 1: RED}), ""),
    "palette, 0 white": (with_palette({0: WHITE, 1: BLACK}, swap=True), ""),
    "0 is white, one bit": (lambda p: write(p, 1 - drawn(), photometric="MINISWHITE", nbits=1), ""),
    "0 is white, 8 bit": (lambda p: write(p, 255 - drawn(255), photometric="MINISWHITE"), ""),
    "probabilities": (lambda p: write(p, drawn(0.7, 0.2, "float32") + pixels(1).astype("float32") / 9999), ">=0.5"),
    "classes": (lambda p: write(p, drawn(2, 1)), "2"),
    "classes by name": (lambda p: write(p, drawn(3, 1)), "3=landslide 1=none"),
    "grey specks": (lambda p: write(p, specks()), ""),
    "red on nothing": (lambda p: write(p, np.concatenate([drawn(255), drawn(0), drawn(0), drawn(255)])), ""),
    "white, transparent outside": (lambda p: write(p, np.concatenate([drawn(255, 255)] * 3 + [drawn(255)])), ""),
    "grey and alpha": (lambda p: write(p, np.concatenate([drawn(255, 255), drawn(255)]), alpha="yes"), ""),
    "black and white, all opaque": (lambda p: write(p, np.concatenate([drawn(255)] * 3 + [drawn(255, 255)])), ""),
}


def specks() -> np.ndarray:
    values = drawn(250)
    values[0, :, 100] = np.arange(SIDE) % 30
    return values


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_read_as_drawn_by_one_rule(tmp_path: Path, name: str) -> None:
    make, said = MASKS[name]
    write(tmp_path / "a.tif", pixels())
    make(tmp_path / "m.tif")
    with SceneReader(tmp_path / "a.tif", TileSettings()) as scene:
        with ReferenceMaskReader(tmp_path / "m.tif", scene, said) as reference:
            of_scene = reference.read(0, 0, SIDE, SIDE)
    of_tile = read_tile_mask(tmp_path / "m.tif", values=said)
    np.testing.assert_array_equal(of_scene, of_tile)
    # A JPEG thins out colours, so that edges are soft.
    assert (of_scene != EXPECTED).sum() <= (12 if "JPEG" in name else 0)
    one = given(tmp_path, labels="mask", mask="m.tif")
    if said:
        one.head, one.rows = (*one.head, "mask_values"), [(*one.rows[0], said)]
    assert positive(one) == POSITIVE and one.check().scenes[0].mask_share == pytest.approx(600 / SIDE**2, rel=0.03)


@pytest.mark.parametrize(("code", "dtype"), [(255, "uint8"), (65535, "uint16"), (-9999, "int16"), (-9999, "float32")])
def test_mask_values_for_unknown_pixels(tmp_path: Path, code: float, dtype: str) -> None:
    values = drawn(1, dtype=dtype)
    values[0, 100:] = code
    expected = EXPECTED.copy()
    expected[100:] = NO_DATA
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "m.tif", values)
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as scene,
        ReferenceMaskReader(tmp_path / "m.tif", scene) as reference,
    ):
        np.testing.assert_array_equal(reference.read(0, 0, SIDE, SIDE), expected)
        assert "unknown" in reference.note
    np.testing.assert_array_equal(read_tile_mask(tmp_path / "m.tif"), expected)


def test_masks_of_a_folder_share_one_rule(tmp_path: Path) -> None:
    for name, values in (("a.png", (0, 1, 255)), ("b.png", (0, 255))):
        cv2.imwrite(str(tmp_path / name), np.resize(np.repeat(values, 8), (16, 24)).astype(np.uint8))
    masks = MaskFolder(tmp_path)
    assert set(np.unique(masks.read("b.png", (16, 24)))) == {0, 255}, "255 is 'unknown' here too"
    assert (masks.read("c.png", (3, 4), 0) == 0).all() and (masks.read("c.png", (3, 4), 255) == 255).all()


def test_what_a_file_masks_out_of_a_mask_is_unknown(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "m.tif", drawn(1, 7))
    with rasterio.open(tmp_path / "m.tif", "r+") as raster:
        raster.write_mask(drawn(255)[0])
    expected = np.where(EXPECTED == 1, 1, NO_DATA)
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as scene,
        ReferenceMaskReader(tmp_path / "m.tif", scene) as reference,
    ):
        np.testing.assert_array_equal(reference.read(0, 0, SIDE, SIDE), expected)
    np.testing.assert_array_equal(read_tile_mask(tmp_path / "m.tif"), expected)


def test_the_compression_of_a_mask_is_named(tmp_path: Path) -> None:
    write(tmp_path / "m.tif", pixels(1), compress="LERC")
    with pytest.raises(InputError, match="neither black nor white"):
        read_tile_mask(tmp_path / "m.tif")
    write(tmp_path / "m.tif", pixels(1) // 2, compress="LERC")
    with pytest.raises(InputError, match="a mask in LERC must be black and white"):
        read_tile_mask(tmp_path / "m.tif")


def test_masks_in_lerc_share_the_rule_of_their_folder(tmp_path: Path) -> None:
    for name, values in (("a.tif", (0, 1, 255)), ("b.tif", (0, 255))):
        write(tmp_path / name, np.resize(np.repeat(values, 8), (1, 16, 24)).astype(np.uint8), compress="LERC")
    assert set(np.unique(MaskFolder(tmp_path).read("b.tif", (16, 24)))) == {0, 255}, "255 is 'unknown' here too"


@pytest.mark.parametrize("no_data", [None, 0, 7, 255])
def test_alpha_of_a_mask_counts_next_to_a_no_data_value(tmp_path: Path, no_data: int | None) -> None:
    values = np.concatenate([drawn(1), drawn(255, 255)])
    values[0, :, 100:] = 1
    values[1, :, 100:] = 0  # transparent: no landslide
    expected = EXPECTED.copy()
    if no_data:
        values[0, 80:, :50] = no_data
        expected[80:, :50] = NO_DATA
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "m.tif", values, alpha="yes", nodata=no_data)
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as scene,
        ReferenceMaskReader(tmp_path / "m.tif", scene) as reference,
    ):
        np.testing.assert_array_equal(reference.read(0, 0, SIDE, SIDE), expected)
    np.testing.assert_array_equal(read_tile_mask(tmp_path / "m.tif"), expected)


@pytest.mark.parametrize(("dtype", "full"), [("uint8", 1), ("uint16", 255)])
def test_alpha_of_a_mask_need_not_be_full_scale(tmp_path: Path, dtype: str, full: int) -> None:
    values = np.concatenate([drawn(1), drawn(full, full)]).astype(dtype)
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "m.tif", values, alpha="yes", nodata=255)
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as scene,
        ReferenceMaskReader(tmp_path / "m.tif", scene) as reference,
    ):
        np.testing.assert_array_equal(reference.read(0, 0, SIDE, SIDE), EXPECTED)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_the_size_of_a_turned_tile_is_that_of_its_pixels(tmp_path: Path, ending: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(np.zeros((30, 20, 3), np.uint8))
    picture.save(tmp_path / f"a.{ending}", **({"tiffinfo": {0x0112: 6}} if ending == "tif" else {"exif": exif}))
    height, width, _ = read_tile_image(tmp_path / f"a.{ending}").shape
    assert image_size(tmp_path / f"a.{ending}") == (width, height) == ((20, 30) if ending == "tif" else (30, 20))


def test_a_mask_in_a_geopackage_with_a_saved_style(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "m.gpkg", drawn(), driver="GPKG")
    with closing(sqlite3.connect(tmp_path / "m.gpkg")) as database:
        database.execute("create table layer_styles (id integer primary key, styleName text)")
        database.execute("insert into layer_styles values (1, 'x')")
        database.execute(
            "insert into gpkg_contents (table_name, data_type, identifier) values ('layer_styles', 'attributes', 'x')"
        )
        database.commit()
    one = given(tmp_path, labels="mask", mask="m.gpkg")
    assert not is_vector(tmp_path / "m.gpkg") and positive(one) == POSITIVE


def test_a_virtual_layer_as_mask(tmp_path: Path) -> None:
    layer(tmp_path / "p.gpkg", SLIDE)
    (tmp_path / "m.vrt").write_text(
        '<OGRVRTDataSource><OGRVRTLayer name="p"><SrcDataSource relativeToVRT="1">p.gpkg</SrcDataSource></OGRVRTLayer>'
        "</OGRVRTDataSource>"
    )
    assert positive(given(tmp_path, labels="mask", mask="m.vrt")) == POSITIVE
    write(tmp_path / "m.tif", drawn())
    rasterio.shutil.copy(tmp_path / "m.tif", tmp_path / "r.vrt", driver="VRT")
    assert not is_vector(tmp_path / "r.vrt")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_png_masks_lie_as_their_images(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(drawn(255)[0, :60, :80]).save(tmp_path / "m.png", exif=exif)
    shown = read_tile_image(tmp_path / "m.png")[..., 0] > 0
    np.testing.assert_array_equal(read_tile_mask(tmp_path / "m.png"), shown)


@pytest.mark.parametrize("key", [0, 255])
def test_a_transparent_grey_of_a_png_is_its_no_data_value(tmp_path: Path, key: int) -> None:
    Image.fromarray(drawn(255)[0]).save(tmp_path / "m.png", transparency=key)
    expected = EXPECTED if key == 0 else np.where(EXPECTED == 1, NO_DATA, 0)
    np.testing.assert_array_equal(read_tile_mask(tmp_path / "m.png"), expected)


@pytest.mark.parametrize("said", ["0.1", "0.1=landslide 0=none", ">=0.1"])
def test_numbers_of_mask_values_are_those_of_the_masks_type(tmp_path: Path, said: str) -> None:
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "m.tif", drawn(0.1, dtype="float32"))
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as scene,
        ReferenceMaskReader(tmp_path / "m.tif", scene, said) as reference,
        ReferenceMaskReader(tmp_path / "m.tif", scene, ">0.1") as above,
    ):
        np.testing.assert_array_equal(reference.read(0, 0, SIDE, SIDE), EXPECTED)
        assert not above.read(0, 0, SIDE, SIDE).any()
    np.testing.assert_array_equal(read_tile_mask(tmp_path / "m.tif", values=said), EXPECTED)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_mask_values_of_a_folder_count_the_numbers_of_palettes(tmp_path: Path, ending: str) -> None:
    numbers = np.repeat(np.array([[1, 2, 0]], np.uint8), 4, axis=0)
    path = tmp_path / f"a.{ending}"
    if ending == "png":
        picture = Image.fromarray(numbers, "P")
        picture.putpalette([0, 0, 0, 0, 255, 0, 255, 0, 0])
        picture.save(path)
    else:
        write(path, numbers[None])
        with rasterio.open(path, "r+") as raster:
            raster.write_colormap(1, {0: BLACK, 1: (0, 255, 0, 255), 2: RED})
    np.testing.assert_array_equal(MaskFolder(tmp_path, "2").read("a.png", (4, 3)), numbers == 2)
    np.testing.assert_array_equal(MaskFolder(tmp_path).read("a.png", (4, 3)), numbers > 0)


def test_parsing_of_mask_values() -> None:
    said = parse_mask_values("1, 2 255=unknown")
    assert said.landslide == {1, 2} and said.unknown == {255}
    assert parse_mask_values(">0.25").limit == 0.25 and parse_mask_values(">0.25").above


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("7, >=100", r"a limit and the landslide value\(s\) 7; give either"),
        (">=100 7=landslide", r"a limit and the landslide value\(s\) 7; give either"),
        (">=0,5", "write decimals with a point"),
        (">=3 >5", "has 2 limits"),
    ],
)
def test_a_limit_of_landslide_values_stands_alone(said: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_mask_values(said)


@pytest.mark.parametrize(
    ("said", "landslide", "unknown"), [(">=3 7=none", {3, 9}, set()), ("7=none 3=unknown", {1, 9}, {3})]
)
def test_values_named_as_no_landslide_are_none(tmp_path: Path, said: str, landslide: set, unknown: set) -> None:
    values = np.resize(np.array([0, 1, 3, 7, 9], np.uint8), (1, SIDE, SIDE))
    expected = np.where(np.isin(values, list(unknown)), NO_DATA, np.isin(values, list(landslide)))[0]
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "m.tif", values)
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as scene,
        ReferenceMaskReader(tmp_path / "m.tif", scene, said) as reference,
    ):
        np.testing.assert_array_equal(reference.read(0, 0, SIDE, SIDE), expected)


@pytest.mark.parametrize(
    ("scale", "offset", "dtype", "values", "said"),
    [
        (1 / 250, 0, "uint8", (200, 20), ">=0.5"),
        (1e-4, 0, "uint16", (9000, 1000), ">=0.5"),
        (0.1, 0, "uint8", (3, 1), "0.3"),
        (1, -10, "int16", (11, 12), "1"),
        (0.5, 0, "float32", (2, 0.8), ">=1"),
    ],
)
def test_mask_values_are_those_that_scale_and_offset_make(
    tmp_path: Path, scale: float, offset: float, dtype: str, values: tuple, said: str
) -> None:
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "m.tif", drawn(*values, dtype=dtype))
    with rasterio.open(tmp_path / "m.tif", "r+") as raster:
        raster.scales, raster.offsets = (scale,), (offset,)
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as scene,
        ReferenceMaskReader(tmp_path / "m.tif", scene, said) as mask,
    ):
        np.testing.assert_array_equal(mask.read(0, 0, SIDE, SIDE), drawn()[0])
        assert "stored x" in mask.note


def test_many_values_are_counted_rounded() -> None:
    values = np.random.default_rng(0).random((4, 1, 200, 200)).astype(np.float32)
    values[:, 0, :50] = -9999
    sample = Sample.of(np.dtype(np.float32))
    for some in values:
        sample.add(some)
    assert len(sample.counts) < 10_000 and sum(sample.counts.values()) == values.size
    rule = find_rule(Path("m.tif"), sample, ">=0.5 -9999=unknown")
    assert sample.share(rule) == pytest.approx((values[values >= 0] >= 0.5).mean(), abs=0.002)


# --- bands ----------------------------------------------------------------------------------------------------------


def declared(path: Path, *kinds: ColorInterp, names: tuple[str, ...] = ()) -> np.ndarray:
    values = pixels(max(len(kinds), len(names)))
    write(path, values, photometric="MINISBLACK")
    with rasterio.open(path, "r+") as raster:
        if kinds:
            raster.colorinterp = kinds
        for band, name in enumerate(names, 1):
            raster.set_band_description(band, name)
    return values


B, G, R, A = ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.alpha


@pytest.mark.parametrize(
    ("kinds", "names", "order"),
    [
        ((R, G, B), (), [0, 1, 2]),
        ((B, G, R), (), [2, 1, 0]),
        ((B, G, R, ColorInterp.undefined), (), [2, 1, 0]),
        ((), ("Blue", "green", "red", "nir"), [2, 1, 0]),
        ((), ("a", "b", "c", "d"), [0, 1, 2]),
    ],
)
def test_bands_are_those_that_are_declared(tmp_path: Path, kinds, names, order) -> None:
    values = declared(tmp_path / "a.tif", *kinds, names=names)
    np.testing.assert_array_equal(given(tmp_path).tile()["image"][0], values[order][:, :64, :64])
    asked = given(tmp_path, tiles={"bands": (3, 2, 1)}).tile()["image"][0]
    np.testing.assert_array_equal(asked, values[[2, 1, 0]][:, :64, :64])


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("B02", "B03", "B04"), (2, 1, 0)),
        (("g", "R", "B"), (1, 0, 2)),
        (("B2 (Blue)", "B3 (Green)", "B4 (Red)"), (2, 1, 0)),
        (("Blue, 450-510 nm", "Green, 510-580 nm", "Red, 630-690 nm"), (2, 1, 0)),
        (("Blue Band", "Green Band", "Red Band", "Red edge", "NIR"), (2, 1, 0)),
        (("B1", "B2", "B3", "B4", "B8A"), (3, 2, 1)),
    ],
)
def test_bands_are_known_by_the_names_that_sensors_give_them(tmp_path: Path, names, order) -> None:
    write(tmp_path / "a.tif", pixels(len(names), dtype="uint16"))
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        raster.descriptions = names
    with SceneReader(tmp_path / "a.tif", TileSettings()) as scene:
        assert scene.chosen.bands == tuple(index + 1 for index in order)


def test_bands_are_known_by_their_wavelengths(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", pixels(4, dtype="uint16"))
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        for band, value in enumerate((0.49, 0.56, 0.665, 0.842), 1):
            raster.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=str(value))
    one = given(tmp_path)
    assert "3, 2, 1 (by their wavelengths red, green, blue)" in one.check().scenes[0].bands
    assert not one.check().warnings


@pytest.mark.parametrize("names", [("Band 4", "Band 3", "Band 2"), ("Band 1", "Band 2", "Band 3"), ("x", "y", "z")])
def test_names_that_say_nothing_else_get_no_warning(tmp_path: Path, names) -> None:
    write(tmp_path / "a.tif", pixels(dtype="uint16"))
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        raster.descriptions = names
    assert not given(tmp_path).check().warnings


def test_bands_of_a_ready_made_tile_are_known_by_their_names(tmp_path: Path) -> None:
    values = pixels(4, side=40)
    write(tmp_path / "x.tif", values, photometric="MINISBLACK")
    with rasterio.open(tmp_path / "x.tif", "r+") as raster:
        raster.descriptions = ("blue", "green", "red", "nir")
    np.testing.assert_array_equal(read_tile_image(tmp_path / "x.tif"), values[[2, 1, 0]].transpose(1, 2, 0))


def with_overviews(path: Path, values: np.ndarray) -> Path:
    """A raster with overviews that are averages, as in a COG."""
    write(path.with_suffix(".plain.tif"), values)
    rasterio.shutil.copy(path.with_suffix(".plain.tif"), path, driver="COG", resampling="average")
    with rasterio.open(path) as raster:
        assert raster.overviews(1)
    return path.with_suffix(".plain.tif")


@pytest.mark.parametrize("virtual", [False, True])
def test_the_stretch_does_not_depend_on_overviews(tmp_path: Path, virtual: bool) -> None:
    values = pixels(side=2600, dtype="uint16") * 9
    values[:, :, :333] = 60000
    plain, image = with_overviews(tmp_path / "a.tif", values), tmp_path / "a.tif"
    if virtual:
        image = tmp_path / "a.vrt"
        rasterio.shutil.copy(tmp_path / "a.tif", image, driver="VRT")
    with SceneReader(plain, TileSettings()) as one, SceneReader(image, TileSettings()) as other:
        np.testing.assert_array_equal(one.limits, other.limits)
        assert one.undeclared == other.undeclared == (60000.0,)


def test_overviews_of_a_mask_are_not_read(tmp_path: Path) -> None:
    mask = np.kron(drawn(255)[0], np.ones((5, 5), np.uint8))[None, :799, :799]
    plain = with_overviews(tmp_path / "m.tif", mask)
    write(tmp_path / "a.tif", pixels(side=799))
    with SceneReader(tmp_path / "a.tif", TileSettings()) as scene:
        found = [ReferenceMaskReader(path, scene).overview(300) for path in (plain, tmp_path / "m.tif")]
    np.testing.assert_array_equal(*found)
    assert set(np.unique(found[1])) == {0, 1}


def test_a_page_that_gdal_cannot_read_is_no_second_image(tmp_path: Path) -> None:
    """As some cameras and scanners write them."""
    path = write(tmp_path / "a.tif", pixels())
    write(path, pixels(seed=1), APPEND_SUBDATASET="YES")
    content = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, first)
    (second,) = struct.unpack_from("<I", content, first + 2 + 12 * entries)
    (entries,) = struct.unpack_from("<H", content, second)
    tags = [second + 2 + 12 * entry for entry in range(entries)]
    (compression,) = (tag for tag in tags if struct.unpack_from("<H", content, tag) == (259,))
    struct.pack_into("<H", content, compression + 8, 60000)
    path.write_bytes(bytes(content))
    np.testing.assert_array_equal(given(tmp_path).tile()["image"][0], pixels()[:, :64, :64])


def test_blocks_of_a_raster_decompress_once_though_the_cache_is_small(tmp_path: Path) -> None:
    columns = sampled_lines(20_000, 1024)
    groups = list(column_groups(columns, 512))
    np.testing.assert_array_equal(np.concatenate([columns[group] for group in groups]), columns)
    spans = [(int(columns[group][0]) // 512, int(columns[group][-1]) // 512) for group in groups]
    assert all(last - first < 4 for first, last in spans), "few blocks side by side"
    assert all(last < first for (_, last), (first, _) in pairwise(spans)), "no block in two groups"
    assert list(column_groups(columns, 20_000)) == [slice(0, 1024)], "rows of strips are read whole"


def test_a_smaller_page_is_no_second_image(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", pixels())
    write(tmp_path / "a.tif", pixels(side=40, seed=1), APPEND_SUBDATASET="YES")
    np.testing.assert_array_equal(given(tmp_path).tile()["image"][0], pixels()[:, :64, :64])


def test_bands_of_several_types(tmp_path: Path) -> None:
    values = pixels(3)
    names = []
    for band, dtype in enumerate(("uint8", "uint16", "float32")):
        names.append(write(tmp_path / f"{dtype}.tif", values[band : band + 1].astype(dtype)))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource><SourceFilename>{name}</SourceFilename>'
        "</SimpleSource></VRTRasterBand>"
        for number, (kind, name) in enumerate(zip(("Byte", "UInt16", "Float32"), names, strict=True), 1)
    )
    (tmp_path / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><SRS>{UTM}</SRS><GeoTransform>{LEFT},1,0,{TOP},0,-1'
        f"</GeoTransform>{bands}</VRTDataset>"
    )
    write(tmp_path / "b.tif", values.astype("float32"))
    found, expected = given(tmp_path, "a.vrt").tile(), given(tmp_path, "b.tif").tile()
    np.testing.assert_array_equal(found["image"], expected["image"])


def test_no_data_in_one_band_is_excluded_from_the_stretch(tmp_path: Path) -> None:
    values = pixels(dtype="float32")
    write(tmp_path / "whole.tif", values)
    for nodata in (None, -9999):
        gap = values.copy()
        gap[0, :40] = -9999
        write(tmp_path / "gap.tif", gap, nodata=nodata)
        with (
            SceneReader(tmp_path / "gap.tif", TileSettings()) as found,
            SceneReader(tmp_path / "whole.tif", TileSettings()) as whole,
        ):
            np.testing.assert_allclose(found.limits, whole.limits, atol=4)
            assert found.read(0, 0, SIDE, SIDE)[1].all(), "the other bands show the ground"


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_where_0_is_white_the_image_is_inverted(tmp_path: Path, dtype: str) -> None:
    values = pixels(1, dtype=dtype)
    write(tmp_path / "a.tif", values, photometric="MINISWHITE")
    write(tmp_path / "b.tif", values)
    found, plain = (given(tmp_path, name, tiles={"bands": (1, 1, 1)}).tile()["image"] for name in ("a.tif", "b.tif"))
    np.testing.assert_array_equal(found, 255 - plain)


def test_a_ready_made_tile_in_its_declared_order(tmp_path: Path) -> None:
    values = declared(tmp_path / "x.tif", B, G, R)
    np.testing.assert_array_equal(read_tile_image(tmp_path / "x.tif").transpose(2, 0, 1), values[[2, 1, 0]])
    (tmp_path / "._x.png").write_bytes(b"of macOS")
    (tmp_path / "y.png").mkdir()
    assert [file.name for file in tile_files(tmp_path)] == ["x.tif"]


def test_a_band_of_transparency_in_the_middle(tmp_path: Path) -> None:
    values = declared(tmp_path / "a.tif", R, A, G, B)
    np.testing.assert_array_equal(given(tmp_path).tile()["image"][0], values[[0, 2, 3]][:, :64, :64])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_of_a_scene_counts_next_to_a_no_data_value(tmp_path: Path, dtype: str) -> None:
    values = np.concatenate([pixels(dtype=dtype), np.full((1, SIDE, SIDE), 255, dtype)])
    values[3, :, :30] = 0
    values[:3, 100:] = 9
    write(tmp_path / "a.tif", values, photometric="RGB", alpha="YES", nodata=9)
    expected = np.ones((SIDE, SIDE), np.uint8)
    expected[:, :30] = expected[100:] = 0
    with SceneReader(tmp_path / "a.tif", TileSettings()) as scene:
        np.testing.assert_array_equal(scene.read(0, 0, SIDE, SIDE)[1], expected)
        np.testing.assert_array_equal(scene.overview(SIDE // 2)[1], expected[::2, ::2])
    assert hides_pixels(tmp_path / "a.tif")


def test_a_fourth_colour_that_gdal_calls_alpha_hides_nothing(tmp_path: Path) -> None:
    values = np.concatenate([pixels(), pixels(1)])
    values[3, :20] = 0  # dark in the near infrared
    values[:3, 100:] = 9
    write(tmp_path / "a.tif", values, photometric="RGB", alpha="YES", nodata=9)
    with SceneReader(tmp_path / "a.tif", TileSettings()) as scene:
        assert scene.read(0, 0, SIDE, SIDE)[1].sum() == 100 * SIDE


def test_a_scene_with_a_colour_table(tmp_path: Path) -> None:
    numbers = (pixels(1) % 3).astype(np.uint8)
    write(tmp_path / "a.tif", numbers, nodata=2)
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        raster.write_colormap(1, {0: (10, 20, 30, 255), 1: (200, 100, 0, 255), 2: (0, 0, 0, 255)})
    found = given(tmp_path).tile()
    colours = np.array([(10, 20, 30), (200, 100, 0), (0, 0, 0)], np.uint8)
    np.testing.assert_array_equal(found["image"][0], colours[numbers[0, :64, :64]].transpose(2, 0, 1))
    np.testing.assert_array_equal(found["valid"][0], numbers[0, :64, :64] < 2)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(-9999, "float32"), (-3.4028234663852886e38, "float32"), (-32768, "int16"), (65535, "uint16")],
)
def test_a_value_far_from_all_others_is_no_data(tmp_path: Path, value: float, dtype: str) -> None:
    values = pixels().astype("float32") / 255
    values = values if dtype == "float32" else (values * 10000).astype(dtype)
    values[:, :, :40] = value
    write(tmp_path / "a.tif", values, nodata=value)
    right = given(tmp_path).tile()
    write(tmp_path / "a.tif", values)
    found = given(tmp_path).tile()
    for name in ("image", "valid"):
        np.testing.assert_array_equal(found[name], right[name])
    assert not found["valid"][0, :, :40].any() and found["valid"][0, :, 40:].all()


def test_several_no_data_values(tmp_path: Path) -> None:
    values = pixels()
    values[:, :, :10], values[:, :10] = 0, 255
    write(tmp_path / "a.tif", values)
    valid = given(tmp_path, tiles={"nodata": [0, 255]}).tile()["valid"][0]
    assert not valid[:10].any() and not valid[:, :10].any() and valid[10:, 10:].all()


def test_values_without_a_gap_are_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.minimum(rng.exponential(4000, (3, SIDE, SIDE)), 30000).astype(np.uint16)
    values[:, :40] = 0  # shade
    write(tmp_path / "a.tif", values)
    assert given(tmp_path).tile()["valid"].all()


# --- elevations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "scale", "offset", "unit", "crs"),
    [
        ("float32", 1, 0, None, UTM),
        ("int16", 0.1, 0, "m", UTM),
        ("uint16", 0.02, 900, "metre", UTM),
        ("float32", 1, 0, "foot", UTM),
        ("float32", 1, 0, "US survey foot", UTM),
        ("float32", 1, 0, None, "EPSG:26910+6360"),  # heights in NAVD 88, US survey feet
    ],
)
def test_elevations_become_metres(tmp_path: Path, stored: str, scale: float, offset: float, unit, crs) -> None:
    metres = np.linspace(1000, 1300, 100).reshape(1, 10, 10)
    factor = {"foot": 0.3048, "US survey foot": 1200 / 3937}.get(unit, 1200 / 3937 if "+" in crs else 1)
    write(tmp_path / "d.tif", ((metres / factor - offset) / scale).round(4).astype(stored), crs=crs)
    with rasterio.open(tmp_path / "d.tif", "r+") as raster:
        raster.scales, raster.offsets = (scale,), (offset,)
        if unit:
            raster.units = (unit,)
    raster, to_metres = open_elevations(tmp_path / "d.tif")
    with raster:
        np.testing.assert_allclose(to_metres(raster.read(1)), metres[0], atol=0.11)
    assert np.isnan(to_metres(np.array([-9999.0 / max(scale, 1e-9)]))).all()


# --- ground ---------------------------------------------------------------------------------------------------------


def test_training_tiles_on_the_ground_of_a_test_scene_are_left_out(tmp_path: Path) -> None:
    one = given(tmp_path, split="train")
    one.split = {"shared_ground": "leave_out"}
    values = pixels(seed=1)
    values[:, 80:] = 0
    shown = from_origin(LEFT + 100, TOP, 1, 1)
    write(tmp_path / "b.tif", values, transform=shown, nodata=0)
    one.rows.append(("b", "b.tif", "inv.gpkg", "", "test"))
    report = one.check()
    assert any("4,800 valid pixels" in note and "left out" in note for note in report.notes)
    found = one.tile(0, (tmp_path / "b.tif",))
    for (row, col, _, _), part in zip(found["window"].tolist(), found["part"].tolist(), strict=True):
        assert part == (NEITHER if row < 80 and col + 64 > 100 else TRAIN), (row, col)


def test_scenes_of_other_crs_and_those_that_only_touch(tmp_path: Path) -> None:
    one = given(tmp_path)
    write(tmp_path / "b.tif", pixels(seed=1), transform=from_origin(LEFT + SIDE, TOP, 1, 1))
    one.rows.append(("b", "b.tif", "inv.gpkg", "", "test"))
    one.check()
    degrees = gpd.GeoSeries([box(LEFT, TOP - SIDE, LEFT + SIDE, TOP)], crs=UTM).to_crs(4326).total_bounds
    step = (degrees[2] - degrees[0]) / SIDE
    write(
        tmp_path / "b.tif", pixels(seed=1), crs="EPSG:4326", transform=from_origin(degrees[0], degrees[3], step, step)
    )
    with pytest.raises(Exception, match="show the same ground"):
        one.check()


# --- degrees beyond 180 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("west", [179.9996, 199.9996, -180.0004])
@pytest.mark.parametrize("turn", [0, 360, -360])
def test_longitudes_beyond_180(tmp_path: Path, west: float, turn: float) -> None:
    step = 1e-5
    write(tmp_path / "a.tif", pixels(), crs="EPSG:4326", transform=from_origin(west, 10, step, step))
    spot = box(west + 20 * step, 10 - 40 * step, west + 50 * step, 10 - 20 * step)
    layer(tmp_path / "x.gpkg", translate(spot, turn), crs=4326)
    assert positive(given(tmp_path, labels="x.gpkg")) == POSITIVE
    corner = from_origin(west + turn, 10, step, step)
    write(tmp_path / "m.tif", drawn(), crs="EPSG:4326", transform=corner)
    assert positive(given(tmp_path, labels="mask", mask="m.tif")) == POSITIVE


def test_a_zone_that_ends_at_180_degrees_goes_on_beyond(tmp_path: Path) -> None:
    place = Transformer.from_crs(4326, 32660, always_xy=True).transform(180.0005, 52)
    write(tmp_path / "a.tif", pixels(), crs="EPSG:32660", transform=from_origin(*place, 1, 1))
    layer(tmp_path / "inv.gpkg", box(place[0] + 20, place[1] - 40, place[0] + 50, place[1] - 20), crs="EPSG:32660")
    assert not given(tmp_path).check().warnings


def test_tiles_where_a_scene_has_no_data_show_no_ground_of_it(tmp_path: Path) -> None:
    values = pixels()
    values[:, :100] = 0
    write(tmp_path / "b.tif", values, nodata=0)
    layer(tmp_path / "inv.gpkg", translate(SLIDE, 60, -80))
    (tmp_path / "t").mkdir()
    write(tmp_path / "t" / "x.tif", pixels(side=40))
    write(tmp_path / "t" / "y.tif", pixels(side=40), transform=from_origin(LEFT + 40, TOP, 1, 1))
    (tmp_path / "l.csv").write_text("tile,label\nx.tif,1\ny.tif,0\n")
    found = given(tmp_path)
    found.rows = [("a", "t", "l.csv", "", "train"), ("b", "b.tif", "inv.gpkg", "", "test")]
    assert not found.check().warnings


@pytest.mark.parametrize("west", [-176.0, -180.0])
def test_a_mask_in_degrees_beyond_180_on_a_projected_scene(tmp_path: Path, west: float) -> None:
    to_utm = Transformer.from_crs(4326, 32701, always_xy=True)
    x, y = map(round, to_utm.transform(west, -17))
    x -= 40  # of -180, the scene lies on both sides
    write(tmp_path / "a.tif", pixels(), crs="EPSG:32701", transform=from_origin(x, y, 1, 1))
    place = Transformer.from_crs(32701, 4326, always_xy=True).transform_bounds(x, y - SIDE, x + SIDE, y)
    side = 1e-5
    write(tmp_path / "m.tif", np.zeros((1, 400, 400), np.uint8), crs="EPSG:4326",
          transform=from_origin(place[0] % 360 - 50 * side, place[3] + 50 * side, side, side))  # fmt: skip
    with SceneReader(tmp_path / "a.tif", TileSettings()) as scene:
        if west == -180:
            with pytest.raises(InputError, match="across the antimeridian .*gdalwarp -r near -t_srs EPSG:32701"):
                ReferenceMaskReader(tmp_path / "m.tif", scene)
        else:
            with ReferenceMaskReader(tmp_path / "m.tif", scene) as reference:
                assert (reference.read(0, 0, SIDE, SIDE) == 0).all()


def test_an_outline_over_the_antimeridian_from_another_crs(tmp_path: Path) -> None:
    step = 1e-5
    write(tmp_path / "a.tif", pixels(), crs="EPSG:4326", transform=from_origin(179.9992, 10, step, step))
    spot = box(179.9992 + 20 * step, 10 - 40 * step, 179.9992 + 120 * step, 10 - 20 * step)
    gpd.GeoSeries([spot], crs=4326).to_crs("EPSG:3832").to_file(tmp_path / "x.gpkg")
    found = positive(given(tmp_path, labels="x.gpkg"))
    assert found == {(row, col) for row in (0, 38) for col in (0, 38, 76, 96)}


# --- the report -----------------------------------------------------------------------------------------------------


def test_check_prints_how_inputs_are_read(tmp_path: Path) -> None:
    one = given(tmp_path, mask="m.tif")
    write(tmp_path / "m.tif", drawn(255))
    report = one.check()
    row, text = report.scenes[0], report.table()
    assert (row.size, row.resolution_m, row.valid) == ("160 x 160", pytest.approx(1, rel=1e-3), 1)
    assert row.lengths_m == pytest.approx((30, 30), rel=1e-3) and row.tile_m == pytest.approx(64, rel=1e-3)
    assert (row.positive, row.negative) == (4, 12)
    for part in (
        "EPSG:32648",
        "160 x 160",
        "1, 2, 3",
        "inv.gpkg",
        "30 m (longest 30 m)",
        "64 m",
        "m.tif (raster)",
        "2.34%",
    ):
        assert part in text, (part, text)
    assert not report.warnings


def test_many_headers_are_read_in_little_time(tmp_path: Path) -> None:
    one = given(tmp_path)
    one.rows = []
    shapes = []
    for number in range(100):
        left = LEFT + 400 * number
        profile = {"driver": "GTiff", "count": 3, "height": SIDE, "width": SIDE, "dtype": "uint8", "sparse_ok": True}
        with rasterio.open(
            tmp_path / f"s{number}.tif", "w", crs=UTM, transform=from_origin(left, TOP, 1, 1), **profile
        ):
            pass
        shapes.append(translate(SLIDE, 400 * number))
        one.rows.append((f"s{number}", f"s{number}.tif", "inv.gpkg", "", "train"))
    layer(tmp_path / "inv.gpkg", *shapes)
    started = time.process_time()
    report = one.check()
    # 2,000 in a minute: 100 in three seconds, of computing, since other work may hold the processors.
    assert time.process_time() - started < 3 + 1 and [row.positive for row in report.scenes] == [4] * 100


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from apsam.cli import app

    one = given(tmp_path)
    one.scenes()
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "mine.yaml"
    config.write_text("run: mine\nscenes: scenes.tsv\ntiles: {size: 64}\n")
    for arguments in ([str(config)], [str(tmp_path / "scenes.tsv"), str(config)]):
        done = CliRunner().invoke(app, ["check", *arguments])
        assert done.exit_code == 0 and "1 scene, 0 warnings" in done.stdout and "~4" in done.stdout, done.output
    assert "no scene is held out (split): the training scenes themselves are mapped" in done.stdout
    (tmp_path / "wide.yaml").write_text("ground: {masks: scene, heat_maps: labels}\nsam: {window: 512}\n")
    refused = CliRunner().invoke(app, ["check", str(config), str(tmp_path / "wide.yaml")])
    assert isinstance(refused.exception, ConfigError) and "set sam.window: null" in str(refused.exception)
