"""A hundred typical inputs of users with their expected results: a helpful error, a warning, or the right value.

If the check before a run refuses a scene, the job of that scene refuses it too.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from given_inputs import (
    LEFT,
    PLACE,
    SIDE,
    SLIDE,
    TOP,
    UTM,
    Given,
    drawn,
    given,
    gpx,
    in_degrees,
    layer,
    pixels,
    write,
    zipped,
)
from pydantic import ValidationError
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.transform import from_origin
from shapely import LineString, Point, box, transform
from shapely.affinity import translate

from apsam.errors import ApsamError

Make = Callable[[Path], Given]

# Tiles of the inventory's landslide: rows and columns 0 to 64, and 38 to 102.
POSITIVE = {(0, 0), (0, 38), (38, 0), (38, 38)}


def image(make: Callable[[Path], object]) -> Make:
    """A scene whose raster `a.tif` is made by `make`."""

    def build(folder: Path) -> Given:
        make(folder / "a.tif")
        return given(folder)

    return build


def labels(name: str, make: Callable[[Path], object] | None, **more) -> Make:
    """A scene labelled by a file."""

    def build(folder: Path) -> Given:
        if make is not None:
            make(folder / name.split("|")[0])
        return given(folder, labels=name, **more)

    return build


def mask(name: str, make: Callable[[Path], object] | None, values: str = "") -> Make:
    """A scene labelled by its mask, so that the job reads it too."""

    def build(folder: Path) -> Given:
        if make is not None:
            make(folder / name.split("|")[0])
        found = given(folder, labels="mask", mask=name)
        if values:
            found.head, found.rows = (*found.head, "mask_values"), [(*found.rows[0], values)]
        return found

    return build


def text(content: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda path: path.write_text(content, encoding=encoding)


def grid_of(folder: Path, **columns) -> gpd.GeoDataFrame:
    from apsam.labelling.grid import write_grid
    from apsam.tiles.settings import TileSettings

    write(folder / "a.tif", pixels())
    write_grid(folder / "a.tif", TileSettings(size=64), folder / "grid.gpkg")
    grid = gpd.read_file(folder / "grid.gpkg", layer="tiles")
    (folder / "grid.gpkg").unlink()
    for name, values in columns.items():
        grid[name] = [values[index % len(values)] for index in range(len(grid))]
    return grid


def gridded(values: list, column: str = "label") -> Make:
    def build(folder: Path) -> Given:
        grid = grid_of(folder).drop(columns="label")
        grid[column] = [values[index % len(values)] for index in range(len(grid))]
        grid.to_file(folder / "grid.gpkg")
        return given(folder, labels="grid.gpkg")

    return build


def local_crs() -> str:
    return 'LOCAL_CS["mine",UNIT["metre",1]]'


def with_gcps(crs: str | None) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        spots = [(0, 0), (0, SIDE), (SIDE, 0), (SIDE, SIDE)]
        points = [GroundControlPoint(r, c, LEFT + c + r * 0.1, TOP - r, 0) for r, c in spots]
        write(path, pixels(), crs=None, transform=None)
        with rasterio.open(path, "r+") as raster:
            raster.gcps = (points, rasterio.crs.CRS.from_string(UTM))
        if crs:
            with rasterio.open(path, "r+") as raster:
                raster.crs = crs

    return make


def with_rpcs(path: Path) -> None:
    ones = [0.0] * 19 + [1.0]
    rpc = RPC(height_off=0, height_scale=1, lat_off=27, lat_scale=1, line_den_coeff=ones, line_num_coeff=ones,
              line_off=0, line_scale=1, long_off=105, long_scale=1, samp_den_coeff=ones, samp_num_coeff=ones,
              samp_off=0, samp_scale=1)  # fmt: skip
    write(path, pixels(), crs=None, transform=None, rpcs=rpc)


def coloured(path: Path, *kinds: ColorInterp, count: int = 3) -> None:
    write(path, pixels(count), photometric="MINISBLACK")
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = kinds


def coloured_alpha(path: Path) -> None:
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = (ColorInterp.alpha,)


def palette(path: Path, numbers: np.ndarray, colours: dict[int, tuple[int, int, int, int]]) -> None:
    write(path, numbers)
    with rasterio.open(path, "r+") as raster:
        raster.write_colormap(1, colours)


def broken(path: Path) -> None:
    write(path, pixels(), compress="deflate")
    path.write_bytes(path.read_bytes()[:20000])


def geographic_metres(path: Path) -> None:
    write(path, pixels(), crs="EPSG:4326")


def folder_of(path: Path, names: list[str], dtype: str = "uint8", size: int = 40) -> None:
    path.mkdir()
    for number, name in enumerate(names):
        cv2.imwrite(str(path / name), pixels(3, size, dtype, number).transpose(1, 2, 0))


def sized(value: float) -> Make:
    """A point whose column `size` contains a length."""

    def build(folder: Path) -> Given:
        layer(folder / "p.gpkg", SLIDE.centroid, size=[value])
        return _with(given(folder, labels="p.gpkg"), labels={"size_column": "size"})

    return build


def tiles(table: str = "tile,label\nx.png,1\ny.png,0\n", masks: dict[str, np.ndarray] | None = None, **more) -> Make:
    """A folder of two ready-made tiles, x and y."""

    def build(folder: Path) -> Given:
        folder_of(folder / "tiles", ["x.png", "y.png"], **more)
        (folder / "l.csv").write_text(table)
        if masks is not None:
            (folder / "masks").mkdir()
            for name, values in masks.items():
                cv2.imwrite(str(folder / "masks" / name), values)
        return Given(folder, [("t", "tiles", "l.csv", "masks" if masks is not None else "", "train")])

    return build


def write_png(path: Path, values: np.ndarray) -> None:
    cv2.imwrite(str(path), values)


def cut(path: Path, share: float) -> None:
    """Keep the first part of a file, as a download that broke off does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def recode(folder: Path, suffix: str) -> None:
    for file in list(folder.iterdir()):
        cv2.imwrite(str(file.with_suffix(suffix)), cv2.imread(str(file)))
        file.unlink()


def virtual(path: Path) -> None:
    """A virtual raster of s.tif, whatever its name."""
    rasterio.shutil.copy(path.with_name("s.tif"), path, driver="VRT")


def declared(*kinds: str) -> Callable[[Path], object]:
    """Colours that GDAL knows and GeoTIFF does not, in the file next to the raster."""

    def make(path: Path) -> None:
        write(path, pixels(len(kinds), dtype="uint16"))
        bands = "".join(
            f'<PAMRasterBand band="{number}"><ColorInterp>{kind}</ColorInterp></PAMRasterBand>'
            for number, kind in enumerate(kinds, 1)
        )
        path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")

    return make


def wavelengths(path: Path, *micrometres: float) -> None:
    with rasterio.open(path, "r+") as raster:
        for band, value in enumerate(micrometres, 1):
            raster.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=str(value))


def named(*names: str, dtype: str = "uint16") -> Callable[[Path], object]:
    def make(path: Path) -> None:
        write(path, pixels(len(names), dtype=dtype))
        with rasterio.open(path, "r+") as raster:
            raster.descriptions = names

    return make


def tile_mask(value: int = 1, size: int = 40) -> np.ndarray:
    values = np.zeros((size, size), np.uint8)
    values[:10, :20] = value
    return values


def sheet(*cells: str, head: tuple[str, ...] | None = None) -> Make:
    def build(folder: Path) -> Given:
        found = given(folder)
        found.rows = [cells]
        if head is not None:
            found.head = head
        return found

    return build


def dem(make: Callable[[Path], object]) -> Make:
    def build(folder: Path) -> Given:
        make(folder / "dem.tif")
        return given(folder, dem=folder / "dem.tif")

    return build


def heights(dtype: str = "float32", side: int = SIDE + 40) -> np.ndarray:
    return np.tile(1000 + np.arange(side, dtype=dtype), (side, 1))[None].astype(dtype)


DEM_PLACE = from_origin(LEFT - 20, TOP + 20, 1, 1)


def dem_in(unit: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        write(path, heights(), transform=DEM_PLACE)
        with rasterio.open(path, "r+") as raster:
            raster.units = (unit,)

    return make


def shared(shift: float, other: str = "test", crs: str = UTM) -> Make:
    def build(folder: Path) -> Given:
        found = given(folder)
        write(folder / "b.tif", pixels(seed=1), transform=from_origin(LEFT + shift, TOP, 1, 1), crs=crs)
        found.rows += [("b", "b.tif", "inv.gpkg", "", other)]
        return found

    return build


def two_layers(path: Path) -> None:
    layer(path, box(LEFT, TOP - SIDE, LEFT + SIDE, TOP), name="study_area")
    layer(path, SLIDE, name="landslides")


def xian(path: Path) -> None:
    layer(path, SLIDE, translate(SLIDE, 60, 60), crs=UTM)
    gpd.read_file(path).to_crs(2343).to_file(path)


def self_crossing(path: Path) -> None:
    spots = [(20, 20), (50, 40), (50, 20), (20, 40)]
    layer(path, shapely_polygon([(LEFT + x, TOP - y) for x, y in spots]))


def shapely_polygon(points: list[tuple[float, float]]):
    from shapely import Polygon

    return Polygon(points)


def bent(size: int = 40) -> dict[str, np.ndarray]:
    return {"x.png": tile_mask(1, size - 1), "y.png": tile_mask(0, size)}


def _file(path: Path) -> Path:
    path.write_text("nothing")
    return path


def _with(one: Given, **changes) -> Given:
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def blocks(folder: Path) -> Given:
    return _with(given(folder), rows=[("a", "a.tif", "inv.gpkg", "", "blocks")], split={"block": 600})


def wide(folder: Path) -> Given:
    return _with(given(folder), labels={"buffer_m": 900})


def tiles_row(folder: Path, rows: str = "x.png,1\n") -> Given:
    (folder / "l.csv").write_text(f"tile,label\n{rows}")
    return Given(folder, [("t", "tiles", "l.csv", "", "train")])


def collar(value: float, dtype: str) -> np.ndarray:
    values = pixels(dtype=dtype)
    values[:, :, :40] = value
    return values


def cut_off(path: Path) -> None:
    layer(path, *[SLIDE] * 5)
    path.write_bytes(path.read_bytes()[:300])


def two_formats(path: Path) -> None:
    path.mkdir()
    cv2.imwrite(str(path / "x.png"), pixels(3, 40).transpose(1, 2, 0))
    cv2.imwrite(str(path / "y.png"), pixels(3, 40, "uint16").transpose(1, 2, 0))


def gap_in_one_band(path: Path) -> None:
    values = pixels(dtype="float32")
    values[0, :, :40] = -9999
    write(path, values)


def named_otherwise(path: Path) -> None:
    write(path, pixels())
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = ("blue", "green", "red")


def complex_int(path: Path) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=SIDE, width=SIDE, count=3, dtype="complex_int16", crs=UTM, transform=PLACE
    ):
        pass


def two_rasters(path: Path) -> None:
    for name in "ab":
        write(path, pixels(), driver="GPKG", RASTER_TABLE=name, APPEND_SUBDATASET="YES" if name == "b" else "NO")


def two_pages(path: Path) -> None:
    write(path, pixels())
    write(path, pixels(seed=1), APPEND_SUBDATASET="YES")


def two_pages_of_a_mask(path: Path) -> None:
    write(path, drawn(0))
    write(path, drawn(), APPEND_SUBDATASET="YES")


def in_two_colours() -> np.ndarray:
    """A mask in red, with something else in green."""
    values = np.zeros((3, SIDE, SIDE), np.uint8)
    values[0, 20:40, 20:50] = values[1, 100:110, 100:110] = 128
    return values


def two_classes_of_a_palette(path: Path) -> None:
    red, green, _ = in_two_colours()
    write(path, ((red > 0) + 2 * (green > 0)).astype(np.uint8)[None])
    with rasterio.open(path, "r+") as raster:
        raster.write_colormap(1, {0: (0, 0, 0, 255), 1: (128, 0, 0, 255), 2: (0, 128, 0, 255)})


def chips(folder: Path) -> Given:
    """Two folders of GeoTIFFs cut from one image with overlap; those next to each other share an edge only."""
    for name, left in (("t", 0), ("u", 20)):
        (folder / name).mkdir()
        for tile, start in (("x", left), ("y", left + 40)):
            place = from_origin(LEFT + start, TOP, 1, 1)
            write(folder / name / f"{tile}.tif", pixels(side=40, seed=start), transform=place)
    (folder / "l.csv").write_text("tile,label\nx.tif,1\ny.tif,0\n")
    return Given(folder, [("a", "t", "l.csv", "", "train"), ("b", "u", "l.csv", "", "test")])


def with_scene(found: Given) -> Given:
    """The same training tiles, and a test scene on their ground."""
    scene = given(found.folder, split="test").rows[0]
    found.rows[1] = ("b", *scene[1:])
    return found


def with_blocks(found: Given) -> Given:
    """The same training tiles, before a scene in blocks on their ground."""
    scene = given(found.folder, split="blocks").rows[0]
    found.rows[1] = ("b", *scene[1:])
    return found


def in_gbk(path: Path, **columns: Any) -> None:
    """A Shapefile in GBK whose `.cpg` says UTF-8."""
    gpd.GeoDataFrame(columns, geometry=[SLIDE], crs=UTM).to_file(path, encoding="CP936")
    path.with_suffix(".cpg").write_text("UTF-8")


def two_depths(folder: Path) -> Given:
    """A scene of 8 bit and one of 16 bit, next to each other."""
    write(folder / "b.tif", pixels(dtype="uint16"), transform=from_origin(LEFT + SIDE, TOP, 1, 1))
    found = given(folder)
    found.rows.append(("b", "b.tif", *found.rows[0][2:]))
    return found


def tiles_and_16_bit(folder: Path) -> Given:
    """Ready-made tiles of 8 bit and a scene of 16 bit."""
    found = tiles()(folder)
    found.rows += given(folder, split="test").rows
    write(folder / "a.tif", pixels(dtype="uint16"))
    return found


def scaled_masks(folder: Path) -> Given:
    """Ready-made tiles with masks of probabilities, stored as whole numbers with a scale."""
    found = tiles(masks={})(folder)
    for name in "xy":
        write(folder / "masks" / f"{name}.tif", tile_mask(200)[None])
        with rasterio.open(folder / "masks" / f"{name}.tif", "r+") as raster:
            raster.scales = (1 / 250,)
    found.head, found.rows = (*found.head, "mask_values"), [(*found.rows[0], ">=0.5")]
    return found


def twice(folder: Path) -> Given:
    """One raster in two rows."""
    found = given(folder)
    found.rows.append(("b", *found.rows[0][1:]))
    return found


def tiles_of_bands(folder: Path) -> Given:
    """A folder of two ready-made tiles of four bands that are not declared."""
    (folder / "tiles").mkdir()
    for name in "xy":
        write(folder / "tiles" / f"{name}.tif", pixels(4, side=40), photometric="MINISBLACK")
    return tiles_row(folder, "x.tif,1\ny.tif,0\n")


def marked(column: str, values: list) -> Make:
    """Points with a column that says which are landslides."""
    return labels("p.gpkg", lambda p: layer(p, SLIDE.centroid, Point(LEFT + 90, TOP - 90), **{column: values}))


def kml_with_negatives(path: Path) -> None:
    spot = in_degrees(SLIDE.centroid)

    def placemark(label: int) -> str:
        return (
            f'<Placemark><ExtendedData><Data name="label"><value>{label}</value></Data></ExtendedData><Point>'
            f"<coordinates>{spot.x},{spot.y}</coordinates></Point></Placemark>"
        )

    folders = "".join(
        f"<Folder><name>f{number}</name>{''.join(map(placemark, found))}</Folder>"
        for number, found in enumerate([(1, 1), (1, 0)])
    )
    path.write_text(f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{folders}</Document></kml>')


def sized_by(column: Any) -> Make:
    """Points with a column `size` of another type than numbers."""

    def build(folder: Path) -> Given:
        layer(folder / "p.gpkg", SLIDE.centroid, Point(LEFT + 90, TOP - 90), size=column)
        return _with(given(folder, labels="p.gpkg"), labels={"size_column": "size"})

    return build


ERRORS: dict[str, tuple[Make, str]] = {
    # Scenes
    "an address": (sheet("a", "https://x.org/a.tif", "inv.gpkg", "", "train"), "is an address; download the file"),
    "a name that files have": (sheet("a_mask", "a.tif", "inv.gpkg", "", "train"), "must not be 'all' or end in _mask"),
    "a name in capitals that files have": (
        sheet("All", "a.tif", "inv.gpkg", "", "train"),
        "must not be 'all' or end in",
    ),
    "two names that differ in capitals": (
        lambda f: _with(given(f), rows=[(name, "a.tif", "inv.gpkg", "", "train") for name in ("Valley", "valley")]),
        r"scene 2 \('valley'\): the name differs from 'Valley' in capital letters only",
    ),
    "a name too long": (sheet("a" * 101, "a.tif", "inv.gpkg", "", "train"), "100 letters at most"),
    "counted from the Earth's middle": (image(lambda p: write(p, pixels(), crs="EPSG:4978")), "middle of the Earth"),
    "a geotransform of no numbers": (
        image(lambda p: write(p, pixels(), transform=rasterio.Affine(float("nan"), 0, LEFT, 0, -1, TOP))),
        "no geotransform",
    ),
    "small metres as degrees": (
        image(lambda p: write(p, pixels(), crs="EPSG:4326", transform=from_origin(50, 80, 1, 1))),
        "a pixel would be 1 degrees wide",
    ),
    "a geodatabase in the column image": (
        lambda f: (
            gpd.GeoDataFrame(geometry=[SLIDE], crs=UTM).to_file(f / "x.gdb", driver="OpenFileGDB"),
            given(f, image="x.gdb"),
        )[1],
        "is a vector layer, but the column|not a raster",
    ),
    "no such scene": (sheet("a", "none.tif", "inv.gpkg", "", "train"), "none.tif: no such file"),
    "text as scene": (image(text("no raster")), "not a raster that GDAL can read"),
    "scene without CRS": (image(lambda p: write(p, pixels(), crs=None)), "no coordinate reference system"),
    "scene with a local CRS": (image(lambda p: write(p, pixels(), crs=local_crs())), "'mine' is a local one"),
    "CRS without geotransform": (image(lambda p: write(p, pixels(), transform=None)), "no geotransform.*world file"),
    "control points only": (image(with_gcps(None)), "4 ground control points alone.*gdalwarp -t_srs EPSG:32648"),
    "control points and a CRS": (image(with_gcps(UTM)), "ground control points alone.*gdalwarp"),
    "RPC only": (image(with_rpcs), "RPC.* alone.*gdalwarp -rpc"),
    "metres in a CRS of degrees": (image(geographic_metres), "is in degrees, its coordinates .* are not"),
    "degrees in a CRS of metres": (
        image(lambda p: write(p, pixels(), transform=from_origin(105, 27, 5e-6, 5e-6))),
        "a pixel would be 5e-06 m wide",
    ),
    "nowhere on the Earth": (
        image(lambda p: write(p, pixels(), transform=from_origin(5e9, 3e9, 1, 1))),
        "have no place on the Earth",
    ),
    "one band": (image(lambda p: write(p, pixels(1))), r"has 1 band\(s\).*tiles.bands: \[1, 1, 1\]"),
    "grey and alpha": (
        image(lambda p: coloured(p, ColorInterp.gray, ColorInterp.alpha, count=2)),
        r"has 1 band\(s\) without transparency",
    ),
    "CMYK": (
        image(
            lambda p: coloured(p, ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black, count=4)
        ),
        "its colours are CMYK",
    ),
    "complex whole numbers": (image(complex_int), "values of type complex_int16"),
    "two rasters in a GeoPackage": (
        lambda f: (two_rasters(f / "x.gpkg"), given(f, image="x.gpkg"))[1],
        r"x.gpkg: contains 2 rasters \(a, b\).*gdal_translate 'GPKG:.*x.gpkg:a' NEW.tif",
    ),
    "two pages": (image(two_pages), "a.tif: contains 2 pages; .* gdal_translate 'GTIFF_DIR:1:"),
    "two pages as mask": (mask("m.tif", two_pages_of_a_mask), "m.tif: contains 2 pages"),
    "complex values": (image(lambda p: write(p, pixels(dtype="complex64"))), "values of type complex64"),
    "bands that are not there": (
        lambda f: given(f, tiles={"bands": (3, 4, 5)}),
        r"has 3 band\(s\), but 'tiles.bands' asks for \[3, 4, 5\]",
    ),
    "16 bit without a stretch": (
        lambda f: (write(f / "a.tif", pixels(dtype="uint16")), given(f, tiles={"stretch": "none"}))[1],
        "is uint16, which needs 'tiles.stretch: percentile'",
    ),
    "smaller than a tile": (
        image(lambda p: write(p, pixels(side=20))),
        "is 20 x 20 px, which covers 10% of a tile of 64",
    ),
    "no valid pixel": (
        image(lambda p: write(p, np.zeros((3, SIDE, SIDE), np.uint8), nodata=0)),
        "has no valid pixel|no tile has",
    ),
    "a file cut off": (image(broken), "pixels cannot be read|not a raster"),
    "a layer in the column image": (
        lambda f: (layer(f / "x.gpkg", SLIDE), given(f, image="x.gpkg"))[1],
        "is a vector layer, but the column 'image'",
    ),
    "a table in the column image": (
        lambda f: ((f / "x.csv").write_text("tile,label\n"), given(f, image="x.csv"))[1],
        "is a table, but the column 'image'",
    ),
    "one block only": (blocks, "is one block"),
    # Labels
    "no such layer file": (labels("none.gpkg", None), "none.gpkg: no such vector layer"),
    "no such table": (labels("none.csv", None), "none.csv: no such label file"),
    "two layers": (
        labels("two.gpkg", two_layers),
        r"2 layers with features: study_area \(1 x Polygon\), landslides .*two.gpkg\|layername=landslides",
    ),
    "a layer that is not there": (
        labels("two.gpkg|layername=slides", two_layers),
        "has no layer 'slides'; its layers: study",
    ),
    "a QGIS filter": (labels("two.gpkg|subset=x", two_layers), "after '|' only a layer's name|only a layer's name"),
    "a workbook": (labels("l.xlsx", text("x")), "is a workbook; save the sheet"),
    "an ODS": (labels("l.ods", text("x")), "is a workbook"),
    "a raster as labels": (
        labels("m.tif", lambda p: write(p, drawn())),
        "is a raster; a mask goes into the column 'mask'",
    ),
    "a folder as labels": (labels("many", lambda p: p.mkdir()), "is a folder; 'labels' names"),
    "coordinates": (
        labels("l.csv", text("latitude,longitude\n27.1,105.0\n")),
        "coordinates .latitude, longitude.*point layer",
    ),
    "semicolons": (labels("l.csv", text("tile;label\nr0_c0;1\n")), "separated by semicolons"),
    "tabs in a CSV": (labels("l.csv", text("tile\tlabel\nr0_c0\t1\n")), "separated by tabs"),
    "other columns": (labels("l.csv", text("a,b\n1,2\n")), "needs the columns 'tile' and 'label'"),
    "words in a table": (labels("l.csv", text("tile,label\nr0_c0,yes\n")), "line 2: label 'yes' is not 0, 1 or empty"),
    "another class": (labels("l.csv", text("tile,label\nr0_c0,2\n")), "label '2' is not 0, 1 or empty"),
    "capital letters": (
        labels("l.csv", text("tile,label\nR0_C0,1\n")),
        "'R0_C0' .'r0_c0' does, with other capital letters or accents",
    ),
    "accents stored in two ways": (
        lambda f: (
            folder_of(f / "tiles", ["ä.png"]),
            tiles_row(f, f"{unicodedata.normalize('NFD', 'ä')}.png,1\n"),
        )[1],
        "'ä.png' does, with other capital letters or accents",
    ),
    "annotations of COCO": (
        labels("l.json", text('{"images": [], "annotations": [], "categories": []}')),
        "not a vector layer .* it holds annotations in pixels .COCO, labelme, VOC.: export them as masks",
    ),
    "annotations of VOC": (
        labels("l.xml", text("<annotation><object><name>landslide</name></object></annotation>")),
        "it holds annotations in pixels",
    ),
    "a path of Windows": (sheet("a", "sub\\a.tif", "inv.gpkg", "", "train"), "no such file; write '/' between folders"),
    "names of columns in another encoding": (
        labels("p.shp", lambda p: in_gbk(p, 面积=[1])),
        "text in its columns is not UTF-8, as the file says .byte 0xc3.; write the right one into p.cpg",
    ),
    "cells in another encoding": (
        labels("p.shp", lambda p: in_gbk(p, label=["滑坡"])),
        "text in its columns is not UTF-8",
    ),
    "a table of zeros": (labels("l.csv", lambda p: p.write_bytes(b"\0" * 40)), "is a binary file, not a table of text"),
    "a tile twice": (labels("l.csv", text("tile,label\nr0_c0,1\nr0_c0,0\n")), "listed twice"),
    "a tile of another grid": (labels("l.csv", text("tile,label\nr7_c7,1\n")), "do not exist, for example 'r7_c7'"),
    "an empty table": (labels("l.csv", text("tile,label\n")), "without any label"),
    "UTF-16": (labels("l.csv", text("tile,label\nr0_c0,1\n", "utf-16")), "is not UTF-8.*UTF-16"),
    "words in a grid": (gridded(["yes", "0"]), "tile 'r0_c0': label 'yes' is not 0, 1 or empty"),
    "255 in a grid": (gridded([255, 1]), "label '255' is not 0, 1 or empty"),
    "a grid without labels": (gridded([None]), "a tile grid without any label"),
    "a grid without its column": (gridded([1, 0], "seen_by"), "is a tile grid without the column 'label'"),
    "a layer without CRS": (
        labels("p.gpkg", lambda p: layer(p, SLIDE, crs=None)),
        "has no coordinate reference system",
    ),
    "metres in a GeoJSON": (
        labels("p.geojson", lambda p: p.write_text(gpd.GeoSeries([SLIDE]).to_json())),
        "is in degrees, its coordinates .* are not",
    ),
    "a layer in a local CRS": (
        labels("p.gpkg", lambda p: layer(p, SLIDE, crs=local_crs())),
        "'mine' does not say where on the map",
    ),
    "coordinates that are not numbers": (
        labels("p.gpkg", lambda p: layer(p, SLIDE, Point(float("inf"), 0))),
        "1 of 2 features have coordinates that are not numbers .*feature 2",
    ),
    "a Shapefile cut off": (labels("p.shp", cut_off), "is truncated: 300 bytes of the 780"),
    "a Shapefile cut off in an archive": (
        labels(
            "p.zip",
            lambda p: (
                cut_off(p.with_suffix(".shp")),
                zipped(p, *(p.with_suffix(f".{ending}") for ending in ("shp", "shx", "dbf", "prj"))),
            ),
        ),
        "p.zip/p.shp: is truncated: 300 bytes of the 780",
    ),
    "a raster in a GeoPackage": (
        labels("p.gpkg", lambda p: write(p, pixels(), driver="GPKG")),
        "is a raster; a mask goes into the column 'mask'",
    ),
    "a table without geometry": (
        labels("p.parquet", lambda p: gpd.pd.DataFrame({"a": [1]}).to_parquet(p)),
        "not a GeoParquet file",
    ),
    "a cell too many": (labels("l.csv", text("tile,label\nr0_c0,0,5\n")), "line 2: has 3 cells, but there are 2"),
    "a column twice": (labels("l.csv", text("tile,label,label\nr0_c0,0,1\n")), "the column 'label' 2 times"),
    "an open quotation mark": (
        labels("l.csv", text('tile,label\n"r0_c0,1\n' + "r0_c0,0\n" * 20000)),
        "is a quotation mark opened and not closed",
    ),
    "a name in other letters": (
        labels("INV.gpkg", None),
        "no such vector layer; there is 'inv.gpkg', with other capital",
    ),
    "a virtual raster whose source was moved": (
        image(lambda p: (write(p.with_name("s.tif"), pixels()), virtual(p), p.with_name("s.tif").unlink())),
        "pixels cannot be read .*s.tif: No such file",
    ),
    "a binary table": (labels("l.csv", lambda p: p.write_bytes(b"\0\xff" * 40)), "is a binary file, not a table"),
    "a part of a Shapefile": (
        labels("p.dbf", lambda p: layer(p.with_suffix(".shp"), SLIDE)),
        "p.dbf: is a part of a layer; name the file p.shp instead",
    ),
    "dates as sizes": (sized_by(gpd.pd.to_datetime(["2020-01-01", "2021-01-01"])), "'size' is of type datetime"),
    "yes and no as sizes": (sized_by([True, False]), "'size' is of type bool; sizes must be numbers"),
    "two columns of labels, one empty": (
        labels("l.csv", text("tile,positive,label\nr0_c0,1,\nr0_c38,,0\n")),
        "line 2: 'label' is empty, 'positive' is 1; which is the label",
    ),
    "a wrong label after blank lines": (
        labels("l.csv", text("tile,label\nr0_c0,1\n\n\nr0_c38,x\n")),
        "line 5: label 'x'",
    ),
    "negatives in a later folder of a KML": (labels("p.kml", kml_with_negatives), "'label' is 0 for 1 of 4 features"),
    "only negatives": (marked("landslide", [0, 0]), "'landslide' is 0 for 2 of 2 features"),
    "negatives in words": (marked("label", ["yes", "No"]), "'label' is 'No' for 1 of 2 features"),
    "non-landslides": (marked("label", ["landslide", "non-landslide"]), "'label' is 'non-landslide' for 1 of 2"),
    "classes of training samples": (marked("Class", [1, 0]), "'Class' is 0 for 1 of 2 features"),
    "a polygonized raster with its background": (marked("DN", [0, 1]), "'DN' is 0 for 1 of 2 features"),
    "a question": (marked("Landslide?", ["Y", "N"]), "'Landslide.' is 'N' for 1 of 2 features"),
    "true and false": (marked("is_landslide", [True, False]), "'is_landslide' is 'False' for 1 of 2"),
    "a type that is no landslide": (marked("type", ["slide", "non-landslide"]), "'type' is 'non-landslide' for 1 of 2"),
    "empty cells next to negatives": (marked("label", ["0", ""]), "'label' is 0 for 1 of 1 features"),
    "points with and without landslides": (
        labels("p.gpkg", lambda p: layer(p, SLIDE.centroid, Point(LEFT + 90, TOP - 90), landslide=[1, 0])),
        "its column 'landslide' is 0 for 1 of 2 features",
    ),
    "latitude before longitude": (
        labels("p.geojson", lambda p: layer(p, transform(in_degrees(SLIDE), lambda xy: xy[:, ::-1]), crs=4326)),
        "are latitude and longitude exchanged",
    ),
    "outlines as text in a table": (
        labels("l.csv", text('WKT,id\n"POINT(500020 2999960)",1\n')),
        "contains coordinates .WKT., not labels of tiles; make a layer of it",
    ),
    "two columns of labels": (
        labels("l.csv", text("tile,label,landslide\nr0_c0,1,1\nr0_c38,0,1\n")),
        "line 3: 'label' is 0, 'landslide' is 1; which is the label",
    ),
    "a web page as layer": (labels("p.gpkg", text("<!DOCTYPE html><html>")), "it is a web page .HTML."),
    "an empty layer file": (labels("p.geojson", text("")), "it is empty: copy or download it again"),
    "text as layer": (labels("p.gpkg", text("no layer")), "not a vector layer that GDAL can read"),
    "a broken KMZ": (labels("p.kmz", text("no zip")), "p.kmz: .*features"),
    "an archive of text": (
        labels("p.zip", lambda p: zipped(p, _file(p.with_name("readme.txt")))),
        "must contain one vector layer",
    ),
    "tracks and waypoints": (
        labels("p.gpx", lambda p: gpx(p, SLIDE.centroid, LineString(SLIDE.exterior.coords))),
        r"2 layers with features: waypoints .*tracks",
    ),
    # Masks
    "no such mask": (mask("none.tif", None), "none.tif: no such mask"),
    "points as mask": (mask("p.gpkg", lambda p: layer(p, SLIDE.centroid)), "contains 1 x Point.*labels.buffer_m"),
    "lines as mask": (
        mask("p.gpkg", lambda p: layer(p, LineString(SLIDE.exterior.coords))),
        "LineString.*Lines to polygons",
    ),
    "two layers as mask": (mask("two.gpkg", two_layers), "2 layers with features"),
    "probabilities": (
        mask("m.tif", lambda p: write(p, np.random.default_rng(0).uniform(0, 1, (1, SIDE, SIDE)).astype("float32"))),
        "values between 0 and 1.*mask_values.*>=0.5",
    ),
    "classes": (
        mask("m.tif", lambda p: write(p, drawn() + np.eye(SIDE, dtype="uint8")[None] * 2)),
        r"0 \(9.*mask_values",
    ),
    "0 and -1": (mask("m.tif", lambda p: write(p, drawn(-1, dtype="int8"))), "which of them are landslide"),
    "complex whole numbers as mask": (mask("m.tif", complex_int), "a mask of type complex_int16"),
    "two rasters in a GeoPackage as mask": (mask("x.gpkg", two_rasters), r"contains 2 rasters \(a, b\)"),
    "complex numbers": (mask("m.tif", lambda p: write(p, drawn(dtype="complex64"))), "a mask of type complex64"),
    "classes without 0": (mask("m.tif", lambda p: write(p, drawn(2, 1))), "which of them are landslide"),
    "two meanings of a value": (
        mask("m.tif", lambda p: write(p, drawn()), "1=landslide 1=unknown"),
        "says two things of the value 1",
    ),
    "features of a mask that are none": (
        mask("p.gpkg", lambda p: layer(p, SLIDE, translate(SLIDE, 60), label=["1", "0"])),
        "its column 'label' is 0 for 1 of 2 features",
    ),
    "a PNG mask cut off": (
        mask("m.png", lambda p: (write_png(p, drawn(255)[0]), cut(p, 0.7))),
        "m.png: is cut off after",
    ),
    "an image as mask": (mask("m.tif", lambda p: write(p, pixels())), "different values.*is it a mask"),
    "red on white": (
        mask("m.tif", lambda p: palette(p, drawn(), {0: (255, 255, 255, 255), 1: (255, 0, 0, 255)})),
        "it is open which is",
    ),
    "a palette in one colour": (
        mask("m.tif", lambda p: palette(p, drawn(), {0: (0, 0, 0, 255), 1: (0, 0, 0, 255)})),
        "all in one colour",
    ),
    "black on transparent": (
        mask("m.tif", lambda p: write(p, np.concatenate([drawn(0)] * 3 + [drawn(255)]))),
        "2.3% of it is black and all else transparent: is black landslide.*gdal_translate -b mask",
    ),
    "black on transparent, of grey and alpha": (
        mask("m.tif", lambda p: write(p, np.concatenate([drawn(0), drawn(255)]), alpha="yes")),
        "2.3% of it is black and all else transparent",
    ),
    "nothing but alpha": (
        mask("m.tif", lambda p: (write(p, drawn(255), photometric="MINISBLACK"), coloured_alpha(p))),
        "its only band is declared as transparency .*gdal_edit.py -colorinterp_1 gray",
    ),
    "black on transparent as masks of tiles": (
        lambda f: _with(
            tiles(masks={"x.png": np.dstack([tile_mask(0)] * 3 + [tile_mask(255)]), "y.png": tile_mask(0)})(f),
            rows=[("t", "tiles", "mask", "masks", "train")],
        ),
        "masks: 12.5% of it is black and all else transparent",
    ),
    "a dark JPEG": (
        mask("m.tif", lambda p: write(p, drawn(90), compress="JPEG")),
        "must be black and white, but its brightest pixel",
    ),
    "mask_values that say nothing": (
        mask("m.tif", lambda p: write(p, drawn()), "landslide"),
        "mask_values 'landslide'",
    ),
    "a mask of another shape without CRS": (
        mask("m.tif", lambda p: write(p, drawn()[:, :80], crs=None)),
        "give the mask a CRS",
    ),
    "a mask of another place without CRS": (
        mask("m.tif", lambda p: write(p, drawn(), crs=None, transform=from_origin(LEFT + 90, TOP, 1, 1))),
        "its geotransform is not that of the scene",
    ),
    "a mask without geotransform": (
        mask("m.tif", lambda p: write(p, drawn(), transform=None)),
        "the mask has .* no geotransform",
    ),
    "a mask of control points": (mask("m.tif", with_gcps(None)), "the mask is placed by 4 ground control points"),
    "a folder as mask of a raster": (mask("many", lambda p: p.mkdir()), "is a folder, but the scene .* is one raster"),
    "a table as mask": (mask("m.csv", text("tile,label\n")), "is a table; the column 'mask'"),
    # Folders of tiles
    "a 16-bit tile among others": (
        lambda f: (two_formats(f / "tiles"), tiles_row(f, "x.png,1\ny.png,0\n"))[1],
        "y.png: is uint16, ready-made tiles must be 8 bit",
    ),
    "16-bit tiles": (tiles(dtype="uint16"), "x.png: is uint16, ready-made tiles must be 8 bit"),
    "an unknown tile": (tiles("tile,label\nx.png,1\ny.png,0\nz.png,0\n"), "do not exist, for example 'z.png'"),
    "a JPEG tile cut off": (
        lambda f: (
            tiles()(f),
            recode(f / "tiles", ".jpg"),
            cut(f / "tiles/y.jpg", 0.5),
            tiles_row(f, "x.jpg,1\ny.jpg,0\n"),
        )[3],
        "y.jpg: is cut off after",
    ),
    "a pointer of Git LFS as tile": (
        lambda f: (
            tiles()(f),
            (f / "tiles/y.png").write_text("version https://git-lfs.github.com/spec/v1\n"),
            tiles_row(f, "x.png,1\ny.png,0\n"),
        )[2],
        "y.png: not an image .*Git LFS: fetch the file itself",
    ),
    "a tile that was not fetched": (
        lambda f: (tiles()(f), (f / "tiles/z.png").symlink_to("../.git/annex/z"), tiles_row(f))[2],
        "z.png: points to a missing file .*annex/z.; fetch it",
    ),
    "a mask of a tile that was not fetched": (
        lambda f: _with(
            (
                tiles(masks={"x.png": tile_mask()})(f),
                (f / "masks/y.png").symlink_to("missing.png"),
                tiles_row(f, "x.png,1\ny.png,0\n"),
            )[2],
            rows=[("t", "tiles", "mask", "masks", "train")],
        ),
        "y.png: points to a missing file .missing.png.",
    ),
    "an empty folder": (lambda f: ((f / "tiles").mkdir(), tiles_row(f))[1], "contains no tile"),
}

# What the job of a scene says instead: it opens the file without asking which column it belongs to.
BY_THE_JOB = {
    "a layer in the column image": "x.gpkg: not a raster that GDAL can read",
    "a table in the column image": "x.csv: not a raster that GDAL can read",
    "no such mask": "none.tif: no such file",
    "a folder as mask of a raster": "many: not a raster that GDAL can read",
    "a table as mask": "m.csv: not a raster that GDAL can read",
}

# Refused by the check; the job of one scene does not read what is needed, or never runs.
EARLY: dict[str, tuple[Make, str]] = {
    "a mask elsewhere": (
        mask("m.tif", lambda p: write(p, drawn(), transform=from_origin(LEFT + 9000, TOP, 1, 1))),
        "says nothing about the scene",
    ),
    "a layer elsewhere": (
        labels("p.gpkg", lambda p: layer(p, translate(SLIDE, 9000))),
        "touches no scene that uses it",
    ),
    "northing before easting": (
        labels("p.gpkg", lambda p: layer(p, transform(SLIDE, lambda c: c[:, ::-1]))),
        "touches no scene that uses it.*With x and y exchanged they would: write longitude .easting. first",
    ),
    "a layer without features": (labels("p.gpkg", lambda p: layer(p)), "the layer has no feature"),
    "tiles in folders by class": (
        lambda f: ((f / "tiles" / "landslide").mkdir(parents=True), tiles_row(f))[1],
        "contains no tile .*, but the folders landslide; put the tiles of a scene into one folder",
    ),
    "a positive tile without mask": (tiles(masks={"y.png": tile_mask(0)}), "has no mask for the tile x.png"),
    "a scale of masks of tiles": (scaled_masks, "x.tif: declares a scale or offset"),
    "a mask of another size": (tiles(masks=bent()), "x.png: is 39 x 39 px, its image 40 x 40"),
    "a layer for a folder": (
        lambda f: (layer(f / "p.gpkg", SLIDE), _with(tiles()(f), rows=[("t", "tiles", "p.gpkg", "", "train")]))[1],
        "ready-made tiles have no place on the map",
    ),
    "a file as masks of a folder": (
        lambda f: (write(f / "m.tif", drawn()), _with(tiles()(f), rows=[("t", "tiles", "l.csv", "m.tif", "train")]))[1],
        "must be a folder too",
    ),
    "only positive tiles": (tiles("tile,label\nx.png,1\ny.png,1\n"), "labelled negative"),
    "one folder for both parts": (
        lambda f: (g := tiles()(f), g.rows.append(("u", "tiles", "l.csv", "", "test")))[0],
        "are the same folder",
    ),
    "a tile in both parts": (
        lambda f: (
            g := tiles()(f),
            (f / "more").mkdir(),
            shutil.copy(f / "tiles/x.png", f / "more/x2.png"),
            (f / "m.csv").write_text("tile,label\nx2.png,1\n"),
            g.rows.append(("u", "more", "m.csv", "", "test")),
        )[0],
        "both hold the tile x.png",
    ),
    "the same scene in both parts": (
        shared(0),
        r"'a' \(train\) and 'b' \(test\) show the same ground: 25,600 .*100.0%",
    ),
    "half a scene in both parts": (shared(80), r"12,800 valid pixels, 50.0% of 'b'.*split.shared_ground: leave_out"),
    "a sheet of semicolons": (
        sheet("x", head=("scene;image;labels;mask;split",)),
        "separated by tabs, not by semicolons",
    ),
    "a sheet of unknown columns": (
        sheet("x", head=("scene", "image", "labels", "mask", "part")),
        "the first line must be",
    ),
    "another split": (sheet("a", "a.tif", "inv.gpkg", "", "validation"), "split 'validation' is none of"),
    "no training scene": (sheet("a", "a.tif", "inv.gpkg", "", "test"), "no scene trains"),
    "a date as Germans write it": (
        sheet(
            "a",
            "a.tif",
            "inv.gpkg",
            "",
            "train",
            "1.8.2021",
            head=("scene", "image", "labels", "mask", "split", "date"),
        ),
        "is not written like 2026-07-31",
    ),
    "no such elevations": (lambda f: given(f, dem=f / "none.tif"), "none.tif: no such raster of elevations"),
    "text as elevations": (dem(text("no raster")), "products.dem"),
    "elevations without CRS": (
        dem(lambda p: write(p, heights(), crs=None)),
        "the raster of elevations has no coordinate",
    ),
    "elevations without geotransform": (dem(lambda p: write(p, heights(), transform=None)), "no geotransform"),
    "a hillshade in colour": (dem(lambda p: write(p, pixels())), "contains colours"),
    "elevations elsewhere": (
        dem(lambda p: write(p, heights(), transform=from_origin(0, 0, 1, 1))),
        "cover none of the scenes",
    ),
    "elevations in fathoms": (dem(dem_in("fathom")), "are in 'fathom', which is not known here"),
    "elevations without any value": (
        dem(lambda p: write(p, heights() * np.nan, transform=DEM_PLACE)),
        "contains no elevation, all of it is no data",
    ),
    "elevations that are none": (
        dem(lambda p: write(p, heights() * 0 - 9999, transform=DEM_PLACE)),
        "no value is an elevation",
    ),
}

WARNINGS: dict[str, tuple[Make, str]] = {
    "polygons of other classes": (
        marked("Classname", ["Landslide", "Road"]),
        r"'Classname' has the values 'Landslide' \(1\), 'Road' \(1\); the features of all of them count as landslides",
    ),
    "classes in colours": (
        mask("m.tif", lambda p: write(p, in_two_colours())),
        r"2 colours on black count as landslide: \(128, 0, 0\) \(2.3%\), \(0, 128, 0\) \(0.4%\)",
    ),
    "classes in a palette": (mask("m.tif", two_classes_of_a_palette), "2 colours on black count as landslide"),
    "numbers of classes": (marked("gridcode", [1, 2]), r"'gridcode' has the values '1' \(1\), '2' \(1\)"),
    "an unknown datum shift": (labels("p.gpkg", xian), "no transformation from Xian 1980 to WGS 84 .* m off"),
    "points without a width": (
        labels("p.gpkg", lambda p: layer(p, SLIDE.centroid)),
        "points, which mark only the tiles",
    ),
    "a study area as landslides": (
        labels("p.gpkg", lambda p: layer(p, box(LEFT, TOP - SIDE, LEFT + SIDE, TOP))),
        "makes 16 of 16 tiles of 'a' positive",
    ),
    "an outline that crosses itself": (labels("p.gpkg", self_crossing), "1 of 1 outlines are not valid.*repaired"),
    "rows that are missing": (labels("l.csv", text("tile,label\nr0_c0,1\nr0_c38,0\n")), "has no row for 14 of 16 tile"),
    "a wide buffer": (wide, "is more than the side of a tile"),
    "an inverted mask": (mask("m.tif", lambda p: write(p, drawn(0, 1))), "98% of 'a' is landslide"),
    "no data that is not declared": (
        image(lambda p: write(p, collar(-9999.0, "float32"))),
        "-9999 in all bands, far from all other values; treated as no-data",
    ),
    "a black collar": (
        image(lambda p: write(p, collar(0, "uint8"))),
        r"25% of its pixels are black \(0\).*tiles.nodata: 0",
    ),
    "four bands without names": (
        image(lambda p: write(p, pixels(4), photometric="MINISBLACK", alpha="no")),
        r"has 4 bands, of which none is declared.*\[3, 2, 1\]",
    ),
    "a mask without landslide": (
        lambda f: (write(f / "m.tif", drawn(0)), given(f, mask="m.tif"))[1],
        "shows no landslide in 'a', of which 4 tiles are labelled positive",
    ),
    "no data of 0 in a mask": (mask("m.tif", lambda p: write(p, drawn(), nodata=0)), "no-data value is 0"),
    "another resolution": (
        lambda f: (
            shared(90000)(f),
            write(f / "b.tif", pixels(), transform=from_origin(LEFT + 90000, TOP, 10, 10)),
        )[0],
        "a pixel of 'b' is 10 m wide, of 'a' 1 m",
    ),
    "a feature without geometry": (
        labels("p.gpkg", lambda p: gpd.GeoDataFrame(geometry=[SLIDE, None], crs=UTM).to_file(p)),
        "1 of 2 features have no geometry",
    ),
    "an outline without area": (
        labels("p.gpkg", lambda p: layer(p, SLIDE, shapely_polygon([(LEFT, TOP), (LEFT + 9, TOP), (LEFT, TOP)]))),
        "1 outlines without any area",
    ),
    "bands that are named otherwise": (image(named_otherwise), "its bands are named blue, green, red"),
    "false colours": (
        image(named("NIR", "Red", "Green")),
        "its bands are named nir, red, green, and bands 1, 2, 3 are taken as red, green and blue",
    ),
    "false colours of 8 bit": (
        image(named("NIR", "Red", "Green", dtype="uint8")),
        "declares bands 1, 2, 3 as red, green, blue, .* but its bands are named nir, red, green",
    ),
    "false colours of Sentinel-2": (image(named("B8", "B4", "B3")), "its bands are named b8, b4, b3"),
    "tiles of one ground in both parts": (
        chips,
        r"2 of 2 file.s. of 'b' .test. that were looked at show ground that files of 'a' .train. show too, .*u/x.tif ",
    ),
    "tiles of the ground of a test scene": (
        lambda f: with_scene(chips(f)),
        r"1 of 1 file\(s\) of 'b' \(test\) that were looked at show ground that files of 'a'",
    ),
    "tiles of the ground of a scene in blocks": (
        lambda f: with_blocks(chips(f)),
        r"1 of 1 file.s. of 'b' \(blocks\) that were looked at show ground that files of 'a' \(train\) show too",
    ),
    "ready-made tiles and a scene of 16 bit": (
        tiles_and_16_bit,
        "of 'a' are stretched .* those of 't' are taken as they are, .*; give scenes of one kind$",
    ),
    "bare soil among landslides": (marked("class", ["landslide", "bare soil"]), "'bare soil' .1.; the features of all"),
    "an old road among landslides": (marked("class", ["landslide", "old road"]), "'old road' .1.; the features of all"),
    "sheets of a map as tiles": (
        lambda f: (tiles()(f), write_png(f / "tiles" / "x.png", pixels(side=300).transpose(1, 2, 0)))[0],
        r"1 of the 2 tiles .* are large .up to 300 px., and are reduced to 64 px",
    ),
    "tiles of other kinds": (
        lambda f: (tiles()(f), (f / "tiles" / "z.bmp").touch(), tiles_row(f, "x.png,1\ny.png,0\n"))[2],
        "1 image.s. of kinds that are not read .z.bmp. are left out",
    ),
    "near infrared as transparency": (
        image(lambda p: write(p, pixels(4), photometric="RGB", alpha="YES")),
        "band 4 is declared as transparency .alpha., but has the values of a colour",
    ),
    "scenes of 8 and 16 bit": (
        two_depths,
        "the values of 'b' are stretched to 8 bit by percentiles, those of 'a' are taken as they are",
    ),
    "a mask of other landslides": (
        lambda f: given(f, mask=layer(f / "m.gpkg", translate(SLIDE, 90, -90)).name),
        "m.gpkg: shows landslide in 4 tiles of 'a', of which 0 are among the 4 tiles labelled positive",
    ),
    "a scene twice": (twice, "scenes 'a' and 'b' .train. are the same raster .*a.tif: its tiles count twice"),
    "tiles of bands without names": (
        tiles_of_bands,
        "x.tif: has 4 bands .gray, undefined, undefined, undefined., of which none is known to be red",
    ),
    "bands of Landsat": (image(named("SR_B2", "SR_B3", "SR_B4")), "its bands are named sr_b2, sr_b3, sr_b4"),
    "a scene without pixels": (
        image(lambda p: write(p, 0 * pixels())),
        "band 1 is 0, band 2 is 0, band 3 is 0 everywhere; was it exported",
    ),
    "a band without pixels": (
        image(lambda p: write(p, np.concatenate([pixels(2), drawn(255, 255)]))),
        "a.tif: band 3 is 255 everywhere",
    ),
    "closed lines": (
        labels("p.gpkg", lambda p: layer(p, LineString(SLIDE.exterior.coords))),
        "1 of 1 lines are closed and are read as outlines of areas",
    ),
    "tiles with transparent pixels": (
        lambda f: (
            tiles()(f),
            write_png(f / "tiles/x.png", np.dstack([pixels(3, 40).transpose(1, 2, 0), tile_mask(255)])),
        )[0],
        r"1 of the 2 tiles that were looked at have transparent or no-data pixels \(x.png\)",
    ),
    "masks of tiles without landslide": (
        tiles(masks={"x.png": tile_mask(0), "y.png": tile_mask(0)}),
        "masks: shows no landslide, but 1 tiles are labelled positive",
    ),
    "near infrared by declaration": (
        image(declared("NIR", "Red", "Green")),
        "its bands are named nir, red, green, and bands 1, 2, 3 are taken as red, green and blue",
    ),
    "near infrared by wavelength": (
        image(lambda p: (write(p, pixels(dtype="uint16")), wavelengths(p, 0.842, 0.665, 0.56))),
        "its bands are named 0.842 um, 0.665 um, 0.56 um",
    ),
    "a collar with the losses of a JPEG": (
        image(lambda p: write(p, np.where(np.arange(SIDE) < 40, pixels() % 4, pixels()).astype("uint8"))),
        "2[0-9]% of its pixels, along its edges, are nearly black .*nearblack -setalpha",
    ),
    "a gap in one band": (image(gap_in_one_band), "25 % of band 1 is -9999, far from all its other values"),
    "a collar of 255 in 16 bit": (
        image(lambda p: write(p, np.where(np.arange(SIDE) < 40, 255, pixels(dtype="uint16") * 7).astype("uint16"))),
        "25% of its pixels are 255 in all bands .*tiles.nodata: 255",
    ),
    "degrees in a CRS of metres": (
        lambda f: (
            write(f / "a.tif", pixels(), transform=from_origin(105, 27, 0.01, 0.01)),
            (f / "l.csv").write_text("tile,label\nr0_c0,1\nr0_c38,0\n"),
            given(f, labels="l.csv"),
        )[2],
        "outside of the area that WGS 84 / UTM zone 48N is made for",
    ),
    "mask_values that do not occur": (
        mask("m.tif", lambda p: write(p, drawn()), "7"),
        "none of the values 7 .* but 0, 1",
    ),
    "mask_values of a layer": (mask("inv.gpkg", None, "1"), "layer of polygons, for which 'mask_values'"),
    "landslides declared as no data": (
        mask("m.tif", lambda p: write(p, drawn(255), nodata=255)),
        "2.3% of it is 255, which it declares as no data",
    ),
    "elevations of one height": (
        dem(lambda p: write(p, heights() * 0, transform=DEM_PLACE)),
        "contains one height only .0.",
    ),
    "two bands of elevations": (
        dem(lambda p: write(p, np.concatenate([heights()] * 2), transform=DEM_PLACE)),
        "has 2 bands, of which the first is read",
    ),
    "lengths in kilometres": (sized(0.12), "landslides of 'a' are 0.12 to 0.12 m long; is it in metres"),
    "areas taken for lengths": (sized(250000.0), "are 250000 to 250000 m long; .* and a length"),
    "a grey hillshade": (
        dem(lambda p: write(p, pixels(1, SIDE + 40), transform=DEM_PLACE)),
        "is 8 bit, .* a hillshade",
    ),
    "inverted masks of tiles": (
        lambda f: tiles(masks={"x.png": 1 - tile_mask(), "y.png": 1 - tile_mask(0)})(f),
        "94% of the masks that were looked at is landslide",
    ),
    "all tiles positive": (gridded([1]), "labelled negative; a localizer needs both kinds"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_refused_before_the_start_and_by_the_job(tmp_path: Path, name: str) -> None:
    make, message = ERRORS[name]
    with pytest.raises(ApsamError, match=message) as refused:
        make(tmp_path).check()
    assert "\n" not in str(refused.value), "one line"
    with pytest.raises(ApsamError, match=BY_THE_JOB.get(name, message)):
        make_again(make, tmp_path).tile()


def make_again(make: Make, folder: Path) -> Given:
    again = folder / "again"
    again.mkdir()
    return make(again)


@pytest.mark.parametrize("name", EARLY)
def test_refused_before_the_start(tmp_path: Path, name: str) -> None:
    make, message = EARLY[name]
    with pytest.raises(ApsamError, match=message) as refused:
        make(tmp_path).check()
    assert "\n" not in str(refused.value), "one line"


@pytest.mark.parametrize("name", WARNINGS)
def test_check_warnings(tmp_path: Path, name: str) -> None:
    make, message = WARNINGS[name]
    report = make(tmp_path).check()
    assert any(re.search(message, warning) for warning in report.warnings), report.warnings


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("labels", {"buffer_m": 60000}),
        ("labels", {"buffer_m": -1}),
        ("tiles", {"bands": (0, 1, 2)}),
        ("tiles", {"nodata": "none"}),
        ("split", {"shared_ground": "ignore"}),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, section: str, values: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        _with(given(tmp_path), **{section: values}).settings()
