"""Products of a scene: complete, valid in GDAL's and STAC's own checks, and QGIS opens them with their styles."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import tracemalloc
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree

import cv2
import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from fake_run import make_fake_run
from pyproj import CRS, Transformer
from rasterio.features import geometry_mask
from rasterio.transform import from_origin
from rasters import write_raster
from rio_cogeo.cogeo import cog_validate

from apsam import writing
from apsam.geodesy import Geodesy
from apsam.maps.cog import STEPS, MapWriter, apply_threshold, from_steps
from apsam.products import picture, stac
from apsam.products.files import ProductFiles
from apsam.products.geopackage import write_geopackage
from apsam.products.landslides import vectorise
from apsam.products.layers import tile_layer
from apsam.products.make import make_products
from apsam.products.picture import write_picture
from apsam.products.settings import ProductSettings
from apsam.products.slope import Slopes
from apsam.stack import TileStackWriter
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

LAYERS = ["landslides", "prompt_boxes", "prompt_points", "tiles"]
SETTINGS = ProductSettings(min_area_m2=20, fill_holes_m2=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "tiny"
    make_fake_run(folder)
    for name in ("probability", "mask"):
        _as_cog(folder, name)
    return folder


def _as_cog(folder: Path, kind: str) -> None:
    """The fake run's map, written as the predict stage writes it."""
    path = folder / f"maps/apsam/birch_{kind}.tif"
    with rasterio.open(folder / "maps/apsam/birch_probability.tif") as raster:
        steps = raster.read(1)
        steps = np.where(steps == 255, 255, np.minimum(steps, STEPS)).astype(np.uint8)
        place = (*raster.shape, raster.crs, raster.transform)
    tags = {"APSAM_SCENE": "birch", "APSAM_IMAGE": "birch.tif", "APSAM_MODEL": "ResUNet 0123", "APSAM_THRESHOLD": "0.5"}
    with MapWriter(path, kind, *place, tags) as writer:  # type: ignore[arg-type]
        writer.write(0, steps if kind == "probability" else apply_threshold(from_steps(steps), 0.5))


def make(run: Path, settings: ProductSettings = SETTINGS) -> ProductFiles:
    maps = run / "maps/apsam"
    files = ProductFiles(maps / "birch_probability.tif", maps / "birch_mask.tif", maps / "birch.gpkg")
    stacks = [[run / f"{stage}/birch{suffix}"] for stage, suffix in
              (("tiles", ".zarr.zip"), ("prompts", ".json"), ("masks/apsam", ".zarr.zip"))]  # fmt: skip
    make_products(files, settings, "birch", run / "scenes/birch.tif", *stacks, date(2024, 5, 6))
    return files


@pytest.fixture(scope="module")
def files(run: Path) -> ProductFiles:
    return make(run)


def test_rasters_are_cogs_with_all_that_a_gis_needs(files: ProductFiles) -> None:
    for path in (files.probability, files.mask):
        valid, errors, warnings = cog_validate(path, strict=True)
        assert valid and not errors and not warnings
        with rasterio.open(path) as raster:
            assert raster.nodata == 255 and raster.tags()["APSAM_MODEL"] == "ResUNet 0123"


def test_layers_of_the_geopackage(run: Path, files: ProductFiles) -> None:
    assert [name for name, _ in pyogrio.list_layers(files.geopackage)] == [*LAYERS, "layer_styles"]
    landslides, boxes, points, tiles = (gpd.read_file(files.geopackage, layer=name) for name in LAYERS)
    assert len(landslides) > 0 and landslides.geometry.is_valid.all()
    assert landslides["area_m2"].min() >= 20 * 0.98 and "length_m" not in landslides
    # Prompts lie in their tiles, points in their boxes; tiles labelled negative have none.
    assert len(boxes) == len(points) > 0
    assert all(a.covers(b) for a, b in zip(boxes.geometry, points.geometry, strict=True))
    by_name = tiles.set_index("tile")
    assert all(by_name.geometry[tile].covers(one) for tile, one in zip(boxes["tile"], boxes.geometry, strict=True))
    assert set(by_name.loc[boxes["tile"], "label"]) == {1}
    # The fake masks say that 120 was chosen, of eight thresholds that were tried.
    assert set(boxes["threshold"]) == {120}
    assert set(tiles["part"]) == {"test"} and set(tiles["label"]) <= {0, 1}
    with rasterio.open(run / "scenes/birch.tif") as raster:
        left, bottom, right, top = raster.bounds
    assert tiles.total_bounds.tolist() == [left, bottom, right, top]


def test_landslides_are_matched_with_a_reference(run: Path, tmp_path: Path) -> None:
    maps = run / "maps/apsam"
    files = ProductFiles(maps / "birch_probability.tif", maps / "birch_mask.tif", tmp_path / "birch.gpkg")
    with rasterio.open(files.mask) as raster:
        mapped, profile = raster.read(1), raster.profile | {"driver": "GTiff", "compress": "deflate"}
    plain = vectorise(files.mask, files.probability, SETTINGS, "birch", "")
    there = np.where(mapped == 255, 255, 0).astype(np.uint8)
    largest = geometry_mask(plain.geometry[:1], mapped.shape, profile["transform"], invert=True)
    there[largest] = 1
    free = cv2.erode((mapped == 0).astype(np.uint8), np.ones((41, 41)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    missed = np.argwhere(free)[0]
    there[missed[0] - 8 : missed[0] + 8, missed[1] - 8 : missed[1] + 8] = 1
    with rasterio.open(tmp_path / "reference.tif", "w", **{**profile, "nodata": None}) as raster:
        raster.write(there, 1)
    make_products(files, SETTINGS, "birch", run / "scenes/birch.tif", [run / "tiles/birch.zarr.zip"],
                  reference=tmp_path / "reference.tif")  # fmt: skip
    landslides, reference = (gpd.read_file(files.geopackage, layer=name) for name in ("landslides", "reference"))
    assert landslides["match"].tolist() == ["true"] + ["false"] * (len(plain) - 1)
    assert landslides.reference_share[0] == 1
    found = dict(zip(reference["match"], reference.covered_share, strict=True))
    assert set(found) == {"found", "missed"} and found["found"] > 0.9 and found["missed"] == 0
    [area] = reference.area_m2[reference["match"] == "missed"]
    assert area == pytest.approx(256 * abs(profile["transform"].determinant), rel=0.01)
    assert not list(tmp_path.glob(".*")) and "Reference landslides" in files.project.read_text()


def test_unlabelled_tiles_have_no_label(tmp_path: Path) -> None:
    place = {"transform": list(from_origin(500000, 3000000, 1, 1))[:6], "crs": CRS.from_epsg(32648).to_wkt()}
    specs = {"valid": ((8, 8), "uint8"), "label": ((), "uint8"), "part": ((), "uint8"), "window": ((4,), "int32")}
    with TileStackWriter(tmp_path / "a.zarr.zip", place, specs) as writer:
        label, part = np.array([0, 1, 0, 1], np.uint8), np.array([0, 1, 255, 255], np.uint8)
        window = np.array([(0, col, 8, 8) for col in range(4)], np.int32)
        writer.append(valid=np.ones((4, 8, 8), np.uint8), label=label, part=part, window=window)
    write_geopackage(tmp_path / "a.gpkg", {"tiles": tile_layer([tmp_path / "a.zarr.zip"])})
    tiles = gpd.read_file(tmp_path / "a.gpkg", layer="tiles")
    assert tiles["part"].tolist() == ["train", "test", "neither", "neither"]
    assert tiles["label"].isna().tolist() == [False, False, True, False]
    assert tiles["label"].dropna().tolist() == [0, 1, 1]


def test_styles_are_where_qgis_looks(files: ProductFiles) -> None:
    with sqlite3.connect(files.geopackage) as connection:
        rows = connection.execute(
            "select f_table_name, f_geometry_column, styleQML, useAsDefault from layer_styles"
        ).fetchall()
        geometry = dict(connection.execute("select table_name, column_name from gpkg_geometry_columns"))
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert [row[0] for row in rows] == LAYERS and all(row[3] == 1 for row in rows)
    assert {name: column for name, column, *_ in rows} == geometry
    for text in [*(row[2] for row in rows), *(path.read_text() for path in files.styles)]:
        root = ElementTree.fromstring(text)
        assert root.tag == "qgis" and root[0].tag in ("renderer-v2", "pipe")
    names = [path.name for path in files.styles]
    assert names == ["birch_probability.qml", "birch_mask.qml"]


def test_the_project_names_its_files_relatively(files: ProductFiles) -> None:
    root = ElementTree.parse(files.project).getroot()
    sources = [one.findtext("datasource").split("|")[0] for one in root.iter("maplayer")]
    assert all(source.startswith(("./", "../")) for source in sources)
    assert all((files.project.parent / source).is_file() for source in sources)
    ids = [one.findtext("id") for one in root.iter("maplayer")]
    assert ids == [one.get("id") for one in root.iter("layer-tree-layer")]
    assert ids == [one.get("id") for one in root.find("layerorder")]
    assert len(set(ids)) == len(ids) == 7 and all(len(one) > 10 for one in ids)
    shown = [one.get("name") for one in root.iter("layer-tree-layer") if one.get("checked") == "Qt::Checked"]
    assert shown == ["Landslides", "Image"]


def test_the_stac_item_is_valid(files: ProductFiles) -> None:
    item = json.loads(files.item.read_text())
    validate = pytest.importorskip("pystac.validation.local_validator").LocalValidator()
    # The core's schema comes with pystac; those of extensions would have to be fetched.
    assert validate.item_validator("1.1.0").is_valid(item), list(validate.item_validator("1.1.0").iter_errors(item))
    assert not validate.item_validator("1.1.0").is_valid({**item, "bbox": None})
    with rasterio.open(files.mask) as raster:
        assert item["properties"]["proj:shape"] == list(raster.shape)
        assert item["properties"]["proj:transform"] == list(raster.transform)[:6]
        assert item["properties"]["proj:code"] == f"EPSG:{raster.crs.to_epsg()}"
    assert item["properties"]["datetime"] == "2024-05-06T00:00:00Z"
    assert all((files.item.parent / asset["href"]).is_file() for asset in item["assets"].values())
    west, south, east, north = item["bbox"]
    assert west < east and south < north and abs(south - 29) < 5


def test_the_same_maps_give_the_same_bytes(run: Path, files: ProductFiles) -> None:
    paths = [files.geopackage, files.project, files.item, *files.styles]
    before = [path.read_bytes() for path in paths]
    make(run)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="no ogrinfo (apt-get install gdal-bin)")
def test_gdal_reports_no_warnings(files: ProductFiles) -> None:
    for command in (
        ["ogrinfo", "-al", "-so", files.geopackage],
        ["gdalinfo", files.mask],
        ["gdalinfo", files.probability],
    ):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == ""
        assert "ERROR" not in done.stdout and "Warning" not in done.stdout


QGIS = """
import json, sys
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer, QgsVectorLayer
QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], False)
app.initQgis()
project = QgsProject.instance()
found = {"read": project.read(sys.argv[1]), "crs": project.crs().authid()}
nodes = project.layerTreeRoot().findLayers()
found["layers"] = {one.layerId(): [one.layer().isValid(), one.layer().renderer().type()] for one in nodes}
base = sys.argv[1][:-4]
# Layers must outlive what is asked of them.
tiles = QgsVectorLayer(base + ".gpkg|layername=tiles", "tiles")
rasters = [QgsRasterLayer(base + end) for end in ("_probability.tif", "_mask.tif")]
found["default"], found["rasters"] = tiles.renderer().type(), [one.renderer().type() for one in rasters]
print(json.dumps(found), flush=True)
"""


def _qgis_python() -> str | None:
    """The system's Python, which has QGIS where it is installed from packages."""
    python = "/usr/bin/python3"
    if not Path(python).exists():
        return None
    return python if subprocess.run([python, "-c", "import qgis.core"], capture_output=True).returncode == 0 else None


def test_qgis_opens_the_project(files: ProductFiles) -> None:
    python = _qgis_python()
    if python is None:
        pytest.skip("no QGIS (apt-get install python3-qgis)")
    environment = {"QT_QPA_PLATFORM": "offscreen", "PATH": "/usr/bin:/bin", "HOME": str(files.project.parent)}
    command = [python, "-c", QGIS, str(files.project)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["read"] and found["crs"] == "EPSG:32648"
    expected = {"landslides": "singleSymbol", "prompt_boxes": "singleSymbol", "prompt_points": "singleSymbol",
                "tiles": "categorizedSymbol", "mask": "paletted", "probability": "singlebandpseudocolor",
                "image": "multibandcolor"}  # fmt: skip
    assert found["layers"] == {f"apsam_layer_{key}": [True, kind] for key, kind in expected.items()}
    assert found["default"] == "categorizedSymbol" and found["rasters"] == ["singlebandpseudocolor", "paletted"]


def test_a_scene_that_was_only_mapped(run: Path, tmp_path: Path) -> None:
    names = ("birch_probability.tif", "birch_mask.tif")
    paths = [Path(shutil.copy(run / "maps/apsam" / name, tmp_path)) for name in names]
    files = ProductFiles(*paths, tmp_path / "birch.gpkg")
    assert make_products(files, SETTINGS, "birch") > 0
    assert [name for name, _ in pyogrio.list_layers(files.geopackage)] == ["landslides", "layer_styles"]
    properties = json.loads(files.item.read_text())["properties"]
    made = datetime.fromtimestamp(files.mask.stat().st_mtime, UTC).date()
    assert properties["datetime"] == f"{made}T00:00:00Z" and "start_datetime" not in properties
    assert "date of the image is not known" in properties["description"]


def test_the_picture_is_bounded_and_has_the_stretch_of_the_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).integers(200, 3000, (3, 300, 410)).astype(np.uint16)
    values[:, :40] = 0
    place = {"crs": "EPSG:32648", "transform": from_origin(500000, 3000000, 1, 1), "nodata": 0}
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=3, height=300, width=410, dtype="uint16", **place
    ) as raster:
        raster.write(values)
    seen = []

    def look(raster: rasterio.DatasetReader, output: Path, **options: object) -> None:
        """Note the pixels before JPEG changes them."""
        seen.append((raster.read(), raster.transform))
        output.touch()

    monkeypatch.setattr(picture, "LONGEST_SIDE", 256)
    monkeypatch.setattr(picture, "copy", look)
    monkeypatch.setattr(writing, "raster_problem", lambda path: None)
    write_picture(tmp_path / "a.tif", TileSettings(), tmp_path / "a_image.tif", "a")
    [(pixels, transform)] = seen
    # Every second pixel: 410 // 256 would be 1, and the picture 410 pixels wide.
    assert pixels.shape == (3, 150, 205) and transform.a == 2
    with SceneReader(tmp_path / "a.tif", TileSettings()) as scene:
        image, _ = scene.read(0, 0, 300, 410)
    assert np.array_equal(pixels, image[:, 1::2, 1::2])


def test_a_picture_of_16_bits_needs_little_memory(tmp_path: Path) -> None:
    place = {"crs": "EPSG:32648", "transform": from_origin(500000, 3000000, 1, 1)}
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=3, height=1500, width=1500, dtype="uint16", **place
    ) as raster:
        raster.write(np.random.default_rng(0).integers(1, 999, (3, 1500, 1500)).astype(np.uint16))
    tracemalloc.start()
    try:
        write_picture(tmp_path / "a.tif", TileSettings(), tmp_path / "a_image.tif", "a")
        peak = tracemalloc.get_traced_memory()[1] / 1500**2
    finally:
        tracemalloc.stop()
    # Bytes a pixel: 6 of the values, 3 of the picture, copies and masks; a float64 copy of all values has 24.
    assert peak < 30


def tilted(path: Path, crs: str = "EPSG:32648", covers: float = 1.0) -> Path:
    """A plane that falls by 0.5 towards the east, as a raster of 5 m (or of about as much in degrees)."""
    from rasterio.warp import transform as to_crs

    step = 5.0 if crs == "EPSG:32648" else 4.5e-5
    (left,), (top,) = to_crs("EPSG:32648", crs, [499900.0], [3000100.0])
    count = int(120 * covers)
    cols, rows = np.meshgrid(np.arange(count) + 0.5, np.arange(120) + 0.5)
    east = to_crs(crs, "EPSG:32648", (left + cols * step).ravel(), (top - rows * step).ravel())[0]
    heights = (900 - 0.5 * (np.array(east) - 499900)).reshape(120, count).astype(np.float32)
    return write_raster(path, heights, crs, from_origin(left, top, step, step), nodata=-9999)


def mapped(folder: Path, dem: Path | None, south_up: bool = False) -> gpd.GeoDataFrame:
    """One landslide of 60 m by 20 m, its long side from west to east."""
    place = (400, 400, rasterio.crs.CRS.from_epsg(32648), from_origin(500000, 3000000, 0.5, 0.5))
    steps = np.zeros((400, 400), np.uint8)
    steps[100:140, 100:220] = 200
    if south_up:
        place = (*place[:3], Affine(0.5, 0, 500000, 0, 0.5, 3000000 - 200))
        steps = steps[::-1]
    files = ProductFiles(folder / "a_probability.tif", folder / "a_mask.tif", folder / "a.gpkg")
    for path, kind, values in (
        (files.probability, "probability", steps),
        (files.mask, "mask", apply_threshold(from_steps(steps), 0.5)),
    ):
        with MapWriter(path, kind, *place, {}) as writer:  # type: ignore[arg-type]
            writer.write(0, values)
    make_products(files, ProductSettings(dem=dem, smooth_m=0), "a")
    return gpd.read_file(files.geopackage, layer="landslides")


@pytest.mark.parametrize("crs", ["EPSG:32648", "EPSG:4326"])
def test_length_along_the_slope(tmp_path: Path, crs: str) -> None:
    (row,) = mapped(tmp_path, tilted(tmp_path / "dem.tif", crs)).to_dict("records")
    assert row["length_m"] == pytest.approx(60, abs=0.6) and row["width_m"] == pytest.approx(20, abs=0.6)
    assert row["slope_deg"] == pytest.approx(np.degrees(np.arctan(0.5)), abs=0.3)
    assert row["downslope_deg"] == pytest.approx(90, abs=1)
    # From the centre of the first pixel to that of the last: 5 m less than the landslide is long.
    assert row["drop_m"] == pytest.approx(55 * 0.5, abs=3)


@pytest.mark.parametrize("turn", [Affine.rotation(30), Affine.scale(1, -1)], ids=["30 degrees", "south up"])
def test_rotated_elevations(tmp_path: Path, turn: Affine) -> None:
    middle = Affine.translation(500080, 2999940)
    place = middle @ turn @ Affine.translation(-300, 300) @ Affine.scale(5, -5)
    cols, rows = np.meshgrid(np.arange(120) + 0.5, np.arange(120) + 0.5)
    heights = 900 - 0.5 * (place.a * cols + place.b * rows + place.c - 499900)
    write_raster(tmp_path / "dem.tif", heights.astype(np.float32), transform=place)
    (row,) = mapped(tmp_path, tmp_path / "dem.tif").to_dict("records")
    assert row["length_m"] == pytest.approx(60, abs=0.6) and row["width_m"] == pytest.approx(20, abs=0.6)
    assert row["slope_deg"] == pytest.approx(np.degrees(np.arctan(0.5)), abs=0.3)
    assert row["drop_m"] == pytest.approx(55 * 0.5, abs=3)


@pytest.mark.parametrize(("unit", "expected"), [("m", 92.6), ("us-ft", 90.0)])
def test_the_north_of_directions(tmp_path: Path, unit: str, expected: float) -> None:
    """Grid north in a CRS in metres, true north in others: 3 degrees west of the central meridian they differ."""
    east = np.repeat(np.arange(60, dtype=np.float32)[None], 60, 0)
    write_raster(tmp_path / "dem.tif", 1000 - 4 * east, "EPSG:4326", from_origin(101.99, 60.01, 1 / 3000, 1 / 3000))
    crs = CRS.from_proj4(f"+proj=utm +zone=48 +datum=WGS84 +units={unit}")
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(102, 60)
    half = 150 if unit == "m" else 500
    landslide = shapely.box(x - half, y - half, x + half, y + half)
    with Slopes(tmp_path / "dem.tif", crs, Geodesy(crs, landslide.bounds)) as slopes:
        assert slopes.measure(landslide)["downslope_deg"] == pytest.approx(expected, abs=0.3)


def test_ground_outside_rotated_elevations_is_unknown(tmp_path: Path) -> None:
    place = Affine.translation(500055, 2999950) @ Affine.rotation(45) @ Affine.scale(5, -5)
    write_raster(tmp_path / "dem.tif", np.full((60, 60), 900, np.float32), transform=place)
    (row,) = mapped(tmp_path, tmp_path / "dem.tif").to_dict("records")
    assert row["drop_m"] == 0 and row["slope_deg"] == 0


def test_products_of_a_map_whose_first_row_lies_south(tmp_path: Path) -> None:
    (row,) = mapped(tmp_path, None, south_up=True).to_dict("records")
    assert row["area_m2"] == 1200 and row["mean_probability"] == 0.8
    item = json.loads((tmp_path / "a.stac.json").read_text())
    west, south, east, north = item["bbox"]
    assert west < east and south < north
    assert item["properties"]["proj:bbox"] == [500000, 2999800, 500200, 3000000]


def test_no_elevations_no_length(tmp_path: Path) -> None:
    (row,) = mapped(tmp_path, tilted(tmp_path / "dem.tif", covers=0.28)).to_dict("records")
    assert np.isnan(row["length_m"]) and np.isnan(row["drop_m"]) and row["area_m2"] == 1200


def test_copied_products_folder_keeps_its_scene(run: Path, files: ProductFiles, tmp_path: Path) -> None:
    project = tmp_path / "passed_on"
    shutil.copytree(files.mask.parent, project)
    text = (project / "birch.qgs").read_text()
    assert "<datasource>./birch_image.tif</datasource>" in text and ".." not in text
    with rasterio.open(project / "birch_image.tif") as copy, rasterio.open(run / "scenes/birch.tif") as scene:
        assert copy.transform == scene.transform and copy.shape == scene.shape and copy.crs == scene.crs
        assert abs(copy.read().astype(int) - scene.read((1, 2, 3))).mean() < 12
        assert copy.tags()["APSAM_SCENE"] == "birch"


@pytest.mark.parametrize(
    ("bounds", "expected", "kind"),
    [
        ((179.9, -1, 180.1, 0), [179.9, -1, -179.9, 0], "MultiPolygon"),
        ((200, 1, 201, 2), [-160, 1, -159, 2], "Polygon"),
        ((179, 1, 180, 2), [179, 1, 180, 2], "Polygon"),
    ],
)
def test_an_item_beyond_180_degrees(bounds, expected, kind) -> None:
    west, south, east, north = stac._degrees(bounds)
    assert [west, south, east, north] == pytest.approx(expected)
    footprint = stac._footprint(west, south, east, north)
    assert footprint["type"] == kind
    longitudes = [x for x, _ in shapely.get_coordinates(shapely.geometry.shape(footprint)).tolist()]
    assert -180 <= min(longitudes) and max(longitudes) <= 180


def test_the_date_in_an_images_metadata(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "count": 1, "height": 8, "width": 8, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as raster:
        raster.write(np.zeros((1, 8, 8), np.uint8))
        raster.update_tags(ACQUISITION_DATE="2020-08-01T03:04:05Z")
    assert stac.date_of(tmp_path / "a.tif") == date(2020, 8, 1)
    assert stac.date_of(None) is None
